"""Face packs: Parquet files of encoded pictures of one size, decoded once into uint8 tensors and cached.

A row whose picture cannot be read is an error that names it, or, within `skipping_damaged`, is left out everywhere.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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
from .files import whole_file
from .photo.reading import SUFFIXES, read_file
from .surroundings import own_folder, user

FRAME = (64, 64)  # width and height

_skipped: ContextVar[dict[Path, int] | None] = ContextVar("skipped", default=None)


@contextmanager
def skipping_damaged() -> Iterator[dict[Path, int]]:
    """Within, rows whose picture cannot be read are left out and counted on standard error; yields how many by pack."""
    found: dict[Path, int] = {}
    token = _skipped.set(found)
    try:
        yield found
    finally:
        _skipped.reset(token)


def cache_folder() -> Path:
    """The folder of decoded packs: $CSI_CACHE, or csi-demo in the user's cache folder. It is, for a user without a home
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


def _decode(file: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The pictures that can be read (n, 3, height, width) and their rows (n,). Raises DataError for other sizes."""
    column = _column(file)
    frames, kept = np.empty((len(column), 3, size[1], size[0]), dtype=np.uint8), list[int]()
    for row, cell in enumerate(column):
        picture = _picture(cell)
        if picture is None:
            continue
        if picture.size != size:
            raise DataError(f"{file}, row {row}: a picture of {picture.size}, expected {size}")
        frames[len(kept)] = np.asarray(picture).transpose(2, 0, 1)
        kept.append(row)
    return frames[: len(kept)], np.array(kept, dtype=np.int64)


def _picture(cell: pa.Scalar) -> Image.Image | None:
    """A row's picture as RGB; None where it is none that can be read."""
    try:
        return Image.open(io.BytesIO(cell.as_py()["bytes"])).convert("RGB")
    except MemoryError:
        raise
    except Exception:  # whatever a decoder makes of a file that is none of its own
        return None


def _frames(file: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """What `_decode` gives, from the cache where it holds that, whole. Raises DataError for a row that cannot be read,
    unless such rows are skipped."""
    status = file.stat()
    key = hashlib.sha256(f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}".encode()).hexdigest()[:16]
    cached = cache_folder() / f"{file.stem}-{key}.npy"
    found = _from_cache(cached)
    if found is None:
        decoded = _decode(file, size)
        with whole_file(cached) as part:
            for array in decoded:  # as `np.save`, which says of a full disk only that less was written
                np.lib.format.write_array_header_1_0(part, np.lib.format.header_data_from_array_1_0(array))
                part.write(array.data)
        found = _from_cache(cached) or decoded
    frames, kept = found
    if frames.shape[2:] != size[::-1]:
        raise DataError(f"{file}: pictures of {frames.shape[:1:-1]}, expected {size}")
    _count_damaged(file, kept)
    return frames, kept


def _from_cache(cached: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """What a file of the cache holds, memory-mapped; None where there is none, or none that is whole."""
    try:
        frames = np.load(cached, mmap_mode="c")
        with cached.open("rb") as file:
            file.seek(frames.offset + frames.nbytes)
            kept = np.load(file)
        whole = frames.ndim == 4 and frames.dtype == np.uint8 and kept.shape == frames.shape[:1]
        return (frames, kept) if whole else None
    except (OSError, ValueError, EOFError, AttributeError):
        return None


def _count_damaged(file: Path, kept: np.ndarray) -> None:
    """Raises DataError for the first row that is not kept, unless such rows are skipped."""
    rows = pq.read_metadata(file).num_rows
    if rows == len(kept):
        return
    counts = _skipped.get()
    if counts is None:
        row = min(set(range(rows)) - set(kept.tolist()))
        raise DataError(f"{file}, row {row}: no picture that can be read ({rows - len(kept)} such of {rows} rows)")
    if file not in counts:
        print(f"csi_demo: {file}: {rows - len(kept)} of {rows} rows are damaged and left out", file=sys.stderr)
    counts[file] = rows - len(kept)


def _kept(file: Path) -> np.ndarray:
    """The rows that `read_pack` gives."""
    if _skipped.get() is None:
        return np.arange(pq.read_metadata(file).num_rows)
    return _frames(file, _first_size(file))[1]


def read_pack(file: str | Path, limit: int | None = None, size: tuple[int, int] = FRAME) -> Tensor:
    """Pictures of one pack as a uint8 tensor (N, 3, height, width), memory-mapped from the cache after the first call.

    limit: at most so many rows, from the start. size: the (width, height) that all have. Raises DataError for a missing
    file, another layout, a damaged row or no picture at all.
    """
    frames, _ = _frames(_existing(file), size)
    if not len(frames):
        raise DataError(f"{file} has no pictures")
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


def read_packs(folder: str | Path, split: str, size: tuple[int, int] = FRAME) -> list[Tensor]:
    """The packs of a split, each memory-mapped; see `read_pack`."""
    return [torch.from_numpy(_frames(file, size)[0]) for file in _files(folder, split)]


def read_split(folder: str | Path, split: str, size: tuple[int, int] = FRAME) -> Tensor:
    """All packs of a split, ``<split>.parquet`` or ``<split>-*.parquet``, as one tensor; see `read_pack`."""
    packs = read_packs(folder, split, size)
    if not any(map(len, packs)):
        raise DataError(f"{split}*.parquet in {folder}: no pictures")
    return packs[0] if len(packs) == 1 else torch.cat(packs)


def read_encoded(source: str | Path, limit: int | None = None) -> dict[str, bytes]:
    """Pictures as the files that they are, by what errors call them: a pack's by row, a folder's by path. Raises
    DataError."""
    if not Path(source).is_dir():
        try:
            cells = [cell.as_py()["bytes"] or b"" for cell in _column(_existing(source))[:limit]]
        except (TypeError, LookupError) as error:
            raise DataError(f"{source}: a row of the column `image` has no bytes: {error}") from None
        return {f"{source}, row {row}": cell for row, cell in enumerate(cells)}
    files = sorted(file for file in Path(source).iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise DataError(f"no photos in {source}: their names end in {', '.join(SUFFIXES)}")
    return {str(file): read_file(file) for file in files[:limit]}


def picture_size(folder: str | Path, split: str) -> tuple[int, int]:
    """Width and height of a split's first picture. Raises DataError."""
    return _first_size(_files(folder, split)[0])


def _first_size(file: Path) -> tuple[int, int]:
    """Of the first picture that can be read."""
    for cell in _column(file):
        if picture := _picture(cell):
            return picture.size
    raise DataError(f"{file} has no picture that can be read")


@dataclass(frozen=True)
class Labelled:
    """Pictures whose attributes are known: frames uint8 (N, 3, H, W), labels (N, A) 0 or 1, identities (N,)."""

    frames: Tensor
    labels: Tensor
    identities: Tensor
    names: tuple[str, ...]


def read_labelled(source: str | Path, split: str | None = None) -> Labelled:
    """The rows of a folder's split, or of one pack, that carry attributes, in the order of names of the first pack.
    Raises DataError where there are none, and for packs whose attributes are others."""
    frames, labels, identities = [], [], []
    names: tuple[str, ...] = ()
    for file in _files(source, split) if split else [_existing(source)]:
        theirs = _names(file)
        if not theirs or "identity" not in pq.read_schema(file).names:
            continue
        values = _labels(file, names or theirs)
        known = np.flatnonzero(~np.isnan(values[:, 0]))
        if len(known):
            names = names or theirs
            if set(names) != set(theirs):
                odd = ", ".join(sorted(set(names) ^ set(theirs)))
                raise DataError(f"{file}: other attributes than in the packs before it ({odd})")
            labels.append(values[known] > 0)
            identities.append(_identities(file)[known])
            frames.append(read_pack(file)[torch.from_numpy(known)])
    if not frames:
        raise DataError(f"no attributes in {split or 'the pack'} {source}: expected a column of values and their names")
    return Labelled(
        torch.cat(frames),
        torch.from_numpy(np.concatenate(labels)).float(),
        torch.from_numpy(np.concatenate(identities)),
        names,
    )


def read_attributes(folder: str | Path, split: str, names: Sequence[str]) -> Tensor:
    """Labels (N, A), -1 or 1, of all pictures of a split, in the order of `read_split`; NaN where a picture has none.

    names: the attributes wanted, in order. Raises DataError for an attribute that a labelled pack does not know."""
    return torch.from_numpy(np.concatenate([_labels(file, tuple(names)) for file in _files(folder, split)]))


def _names(file: Path) -> tuple[str, ...]:
    """Of a pack's attributes, in its order; none where it has none. Raises DataError where some have no name."""
    schema = pq.read_schema(file)
    if "attributes" not in schema.names:
        return ()
    names = tuple((schema.metadata or {}).get(b"attribute_names", b"").decode().split())
    column = pq.read_table(file, columns=["attributes"]).column("attributes")
    for row, cell in enumerate(column):
        if cell.is_valid and len(cell) != len(names):
            raise DataError(f"{file}, row {row}: {len(cell)} attributes, their names are {len(names)}")
    if len(set(names)) != len(names):
        raise DataError(f"{file}: an attribute is named twice")
    return names


def _labels(file: Path, names: tuple[str, ...]) -> np.ndarray:
    """A pack's labels as of `read_attributes`. Raises DataError."""
    theirs, kept = _names(file), _kept(file)
    labels = np.full((len(kept), len(names)), np.nan, dtype=np.float32)
    if not theirs:
        return labels
    column = pq.read_table(file, columns=["attributes"]).column("attributes").take(kept)
    known = np.flatnonzero(column.is_valid())
    if len(known):
        if missing := sorted(set(names) - set(theirs)):
            raise DataError(f"{file} has no labels for {', '.join(missing)}")
        values = np.array(column.take(known).to_pylist(), dtype=np.float32)
        labels[known] = np.where(values > 0, 1.0, -1.0)[:, [theirs.index(name) for name in names]]
    return labels


def read_identities(folder: str | Path, split: str) -> Tensor:
    """Who is in each picture of a split, in the order of `read_split`: (N,). Raises DataError where a pack does not
    say."""
    return torch.from_numpy(np.concatenate([_identities(file) for file in _files(folder, split)]))


def _identities(file: Path) -> np.ndarray:
    if "identity" not in pq.read_schema(file).names:
        raise DataError(f"{file} has no column `identity`")
    column = pq.read_table(file, columns=["identity"]).column("identity").take(_kept(file))
    if column.null_count:
        raise DataError(f"{file}: the column `identity` has gaps")
    return np.asarray(column.to_numpy())


def shrink(frames: Tensor, size: int) -> Tensor:
    """Square uint8 pictures (N, 3, H, H) averaged over blocks of pixels to (N, 3, size, size). Raises DataError where
    the sizes do not divide."""
    factor, rest = divmod(frames.shape[-1], size)
    if not factor or rest:
        raise DataError(f"pictures of {frames.shape[-1]} pixels cannot be averaged down to {size}")
    if factor == 1:
        return frames
    return torch.cat([F.avg_pool2d(part.float(), factor).round().byte() for part in frames.split(1024)])
