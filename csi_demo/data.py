"""Face packs: Parquet files of encoded pictures of one size, decoded once into uint8 tensors and cached."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .errors import DataError
from .photo.reading import SUFFIXES
from .surroundings import own_folder, user

FRAME = (64, 64)  # width and height


def cache_folder() -> Path:
    """Where decoded packs are kept: $CSI_CACHE, or csi-demo in the user's cache folder, or, for a user without a home
    that can be written to, a folder of this user's among the temporary files.

    Raises UsageError where that is another's.
    """
    if folder := os.environ.get("CSI_CACHE"):
        return Path(folder)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "csi-demo"
    home = os.path.expanduser("~")  # itself where there is none
    if os.access(home, os.W_OK):
        return Path(home) / ".cache" / "csi-demo"
    return own_folder(Path(tempfile.gettempdir()) / f"csi-demo-packs-{user()}")


def _column(file: Path) -> pa.ChunkedArray:
    """The encoded pictures of a pack, as {"bytes", "path"}. Raises DataError."""
    try:
        return pq.read_table(file, columns=["image"]).column("image")
    except Exception as error:
        raise DataError(f"{file} is not a Parquet pack with an `image` column: {error}") from None


def _decode(file: Path, size: tuple[int, int]) -> np.ndarray:
    column = _column(file)
    frames = np.empty((len(column), 3, size[1], size[0]), dtype=np.uint8)
    for row, cell in enumerate(column):
        picture = Image.open(io.BytesIO(cell["bytes"].as_py())).convert("RGB")
        if picture.size != size:
            raise DataError(f"{file}, row {row}: a picture of {picture.size}, expected {size}")
        frames[row] = np.asarray(picture).transpose(2, 0, 1)
    return frames


def read_pack(file: str | Path, limit: int | None = None, size: tuple[int, int] = FRAME) -> Tensor:
    """Pictures of one pack as a uint8 tensor (N, 3, height, width), memory-mapped from the cache after the first call.

    limit: at most so many rows, from the start. size: the (width, height) that all have. Raises
    DataError for a missing file or another layout.
    """
    file = _existing(file)
    status = file.stat()
    key = hashlib.sha256(f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}".encode()).hexdigest()[:16]
    cached = cache_folder() / f"{file.stem}-{key}.npy"
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cached.parent, suffix=".part", delete=False) as part:
            try:
                np.save(part, _decode(file, size))
                os.replace(part.name, cached)
            except BaseException:
                os.unlink(part.name)
                raise
    frames = np.load(cached, mmap_mode="c")
    if frames.shape[2:] != size[::-1]:
        raise DataError(f"{file}: pictures of {frames.shape[:1:-1]}, expected {size}")
    return torch.from_numpy(frames[:limit])


def _existing(file: str | Path) -> Path:
    if not Path(file).is_file():
        raise DataError(f"no such file: {file} (expected a Parquet pack of aligned faces)")
    return Path(file)


def _files(folder: str | Path, split: str) -> list[Path]:
    folder = Path(folder)
    files = sorted({*folder.glob(f"{split}.parquet"), *folder.glob(f"{split}-[0-9]*.parquet")})
    if not files:
        raise DataError(f"no {split}*.parquet in {folder}: expected packs of aligned faces")
    return files


def read_split(folder: str | Path, split: str, size: tuple[int, int] = FRAME) -> Tensor:
    """All packs of a split, ``<split>.parquet`` or ``<split>-*.parquet``, as one tensor; see `read_pack`."""
    packs = [read_pack(file, size=size) for file in _files(folder, split)]
    return packs[0] if len(packs) == 1 else torch.cat(packs)


def read_encoded(source: str | Path, limit: int | None = None) -> list[bytes]:
    """Pictures as the files that they are: of a pack, or those that lie in a folder, by name. Raises DataError."""
    if not Path(source).is_dir():
        return [cell["bytes"].as_py() for cell in _column(_existing(source))[:limit]]
    files = sorted(file for file in Path(source).iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise DataError(f"no photos in {source}: their names end in {', '.join(SUFFIXES)}")
    return [file.read_bytes() for file in files[:limit]]


def picture_size(folder: str | Path, split: str) -> tuple[int, int]:
    """Width and height of a split's first picture. Raises DataError."""
    file = _files(folder, split)[0]
    try:
        cell = next(pq.ParquetFile(file).iter_batches(1, columns=["image"])).column("image")[0]
        return Image.open(io.BytesIO(cell["bytes"].as_py())).size
    except Exception as error:
        raise DataError(f"{file} is not a Parquet pack with an `image` column: {error}") from None


@dataclass(frozen=True)
class Labelled:
    """Pictures whose attributes are known: frames uint8 (N, 3, H, W), labels (N, A) 0 or 1, identities (N,)."""

    frames: Tensor
    labels: Tensor
    identities: Tensor
    names: tuple[str, ...]


def read_labelled(source: str | Path, split: str | None = None) -> Labelled:
    """The rows of a folder's split, or of one pack, that carry attributes. Raises DataError where there are none."""
    frames, labels, identities, names = [], [], [], ()
    for file in _files(source, split) if split else [_existing(source)]:
        if not {"attributes", "identity"} <= set(pq.read_schema(file).names):
            continue
        table = pq.read_table(file, columns=["attributes", "identity"])
        known = np.flatnonzero(~np.asarray(table.column("attributes").is_null()))
        if len(known):
            rows = table.take(known)
            names = tuple((table.schema.metadata or {}).get(b"attribute_names", b"").decode().split())
            labels.append(np.array(rows.column("attributes").to_pylist(), dtype=np.int8) > 0)
            identities.append(rows.column("identity").to_numpy())
            frames.append(read_pack(file)[torch.from_numpy(known)])
    if not frames or len(names) != labels[0].shape[1]:
        raise DataError(
            f"no attributes in {split or 'the pack'} {source}: expected a column of 40 values and their names"
        )
    return Labelled(
        torch.cat(frames),
        torch.from_numpy(np.concatenate(labels)).float(),
        torch.from_numpy(np.concatenate(identities)),
        names,
    )


def read_attributes(folder: str | Path, split: str, names: Sequence[str]) -> Tensor:
    """Labels (N, A), -1 or 1, of all pictures of a split, in the order of `read_split`; NaN where a picture has none.

    names: the attributes wanted, in order. Raises DataError for an attribute that a labelled pack does not know."""
    parts = []
    for file in _files(folder, split):
        schema = pq.read_schema(file)
        labels = np.full((pq.read_metadata(file).num_rows, len(names)), np.nan, dtype=np.float32)
        if "attributes" in schema.names:
            column = pq.read_table(file, columns=["attributes"]).column("attributes")
            known = np.flatnonzero(~np.asarray(column.is_null()))
            if len(known):
                theirs = (schema.metadata or {}).get(b"attribute_names", b"").decode().split()
                missing = sorted(set(names) - set(theirs))
                if missing:
                    raise DataError(f"{file} has no labels for {', '.join(missing)}")
                values = np.array(column.take(known).to_pylist(), dtype=np.float32)
                labels[known] = np.where(values > 0, 1.0, -1.0)[:, [theirs.index(name) for name in names]]
        parts.append(labels)
    return torch.from_numpy(np.concatenate(parts))


def read_identities(folder: str | Path, split: str) -> Tensor:
    """Who is in each picture of a split, in the order of `read_split`: (N,). Raises DataError where a pack does not
    say."""
    found = []
    for file in _files(folder, split):
        if "identity" not in pq.read_schema(file).names:
            raise DataError(f"{file} has no column `identity`")
        found.append(pq.read_table(file, columns=["identity"]).column("identity").to_numpy())
    return torch.from_numpy(np.concatenate(found))


def shrink(frames: Tensor, size: int) -> Tensor:
    """Square uint8 pictures (N, 3, H, H) averaged over blocks of pixels to (N, 3, size, size). Raises DataError where
    the sizes do not divide."""
    factor, rest = divmod(frames.shape[-1], size)
    if not factor or rest:
        raise DataError(f"pictures of {frames.shape[-1]} pixels cannot be averaged down to {size}")
    if factor == 1:
        return frames
    return torch.cat([F.avg_pool2d(part.float(), factor).round().byte() for part in frames.split(1024)])
