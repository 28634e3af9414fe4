"""`pack`: photos of people to packs of aligned faces, which `train` takes."""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import PhotoError, UsageError
from ..photo.celeba import FACE, PICTURE
from ..photo.placement import LARGEST, Placement
from ..photo.reading import open_photo, read_file
from ..pixels import png
from .complete_many import find_photos
from .progress import Progress

REPORT = "pack.json"
SPLITS = ("train", "val", "test")
PERSON = "person"  # the column of who is in a photo
YES, NO = ("1", "yes", "true"), ("0", "-1", "no", "false")
DELIMITERS = ",;\t"


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    pack = commands.add_parser("pack", help="make packs for `train` of a folder of photos of people")
    pack.add_argument("folder", type=Path, help="of photos, folders below it, too")
    pack.add_argument("--out", type=Path, required=True, help=f"a new folder: 64/, 178/ and {REPORT}")
    pack.add_argument(
        "--labels",
        type=Path,
        help=f"a CSV file: a photo's name, then a column of 1 and 0 for each attribute; {PERSON}: who it shows",
    )
    pack.add_argument("--people", action="store_true", help="each folder of photos shows one person")
    pack.add_argument("--smallest", type=int, default=64, help="side of the smallest face's frame, in photo pixels")
    pack.add_argument("--val", type=float, default=0.1, help="share of the people to validate on")
    pack.add_argument("--test", type=float, default=0.1, help="share of the people to test on")
    pack.set_defaults(run=_pack)


@dataclass
class Labels:
    """What a table says. values: photo -> -1 or 1 for every name, None where a cell is empty; people: photo -> who."""

    names: tuple[str, ...] = ()
    values: dict[str, list[int] | None] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)


@dataclass
class Face:
    """A row of the packs."""

    path: str
    person: str
    frame: bytes  # 64x64, PNG
    whole: bytes | None  # 178x218, JPEG; None where the photo has fewer pixels
    labels: list[int] | None


def _pack(options: argparse.Namespace) -> None:
    folder, out = options.folder, options.out
    if not folder.is_dir():
        raise UsageError(f"no such folder: {folder}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out} is not empty: choose a new folder")
    if not (options.val > 0 <= options.test and options.val + options.test < 1):
        raise UsageError(f"--val {options.val:g} and --test {options.test:g} leave nothing to train on, or to validate")
    if options.smallest < 8:
        raise UsageError(f"--smallest {options.smallest} is out of range: 8 or more")
    photos, skipped = find_photos(folder, True, out)
    if not photos:
        raise UsageError(f"no photos in {folder}")
    labels = read_labels(options.labels) if options.labels else Labels()
    left_out: dict[str, list[str]] = {}
    faces = _find(photos, folder, labels, options, left_out)
    splits = split_people(faces, options.val, options.test)
    named = {path for path in {*labels.values, *labels.people}}
    report = {
        "command": options.line,
        "photos": len(photos),
        "faces": {split: len(rows) for split, rows in splits.items()},
        "faces_178": {split: sum(face.whole is not None for face in rows) for split, rows in splits.items()},
        "left_out": left_out,
        "skipped": dict(sorted(skipped.items())),
        "attributes": labels.names,
        "photos_without_labels": sorted({face.path for face in faces if face.labels is None}) if labels.names else [],
        "labels_without_photo": sorted(named - {_key(photo, folder, named) for photo in photos}),
    }
    _write(splits, labels.names, report, out)
    _say(report, out)


def _say(report: dict, out: Path) -> None:
    counts = ", ".join(f"{count} {split}" for split, count in report["faces"].items())
    print(f"{sum(report['faces'].values())} faces of {report['photos']} photos: {counts}; in {out}")
    for reason, names in sorted(report["left_out"].items()):
        print(f"left out: {len(names)} {reason}")
    for reason, count in report["skipped"].items():
        print(f"skipped: {count} {reason}")
    for what in ("photos_without_labels", "labels_without_photo"):
        if names := report[what]:
            print(f"{what.replace('_', ' ')}: {len(names)}, such as {names[0]}")
    print(f"python -m csi_demo train MODEL --data {out / '64'} --out DIR")


def _find(
    photos: list[Path], folder: Path, labels: Labels, options: argparse.Namespace, left_out: dict[str, list[str]]
) -> list[Face]:
    """The faces in photos; what is left out is put where it is counted."""
    from ..photo.finding import find_faces

    faces: list[Face] = []
    seen: set[str] = set()
    named = {*labels.values, *labels.people}
    progress = Progress(len(photos))
    for path in photos:
        name, key = path.relative_to(folder).as_posix(), _key(path, folder, named)
        try:
            content = read_file(path)
            photo = open_photo(content, "the photo")
        except PhotoError:
            left_out.setdefault("photos that cannot be read", []).append(name)
        else:
            digest = hashlib.sha256(photo.tobytes()).hexdigest()
            found = [] if digest in seen else find_faces(photo)
            large = [face for face in found if face.size >= options.smallest]
            if digest in seen:
                left_out.setdefault("the same photo again", []).append(name)
            elif not found:
                left_out.setdefault("photos without a face", []).append(name)
            for _ in range(len(found) - len(large)):
                left_out.setdefault(f"faces below {options.smallest} pixels", []).append(name)
            seen.add(digest)
            person = labels.people.get(key) or (path.parent.as_posix() if options.people else name)
            for place in large:  # a photo's labels are those of its main face
                own = labels.values.get(key) if place is found[0] else None
                faces.append(Face(name, person, png(place.frame(photo)), _whole(photo, place), own))
        progress.step()
    progress.clear()
    return faces


def _key(photo: Path, folder: Path, named: set[str]) -> str:
    """What labels call a photo: its path below the folder or its name, perhaps without the ending."""
    path = photo.relative_to(folder)
    calls = (path.as_posix(), path.name, path.with_suffix("").as_posix(), path.stem)
    return next((call for call in calls if call in named), calls[0])


def _whole(photo: Image.Image, face: Placement) -> bytes | None:
    """CelebA's 178x218 picture of a face, as a JPEG; None where it would have to be enlarged."""
    width, height = PICTURE
    side = face.size * height / FACE.size
    if face.size < FACE.size or side > LARGEST:
        return None
    left = (height - width) // 2
    stored = io.BytesIO()
    square = Placement(face.x, face.y, side, face.angle).frame(photo, height)
    square.crop((left, 0, left + width, height)).save(stored, "JPEG", quality=95, subsampling=0)
    return stored.getvalue()


def read_labels(file: Path) -> Labels:
    """Attributes and people of photos from a CSV file; commas, semicolons or tabs. Raises UsageError."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as a CSV file: {error}") from None
    head = text.partition("\n")[0]
    rows = list(csv.reader(io.StringIO(text), delimiter=max(DELIMITERS, key=head.count)))
    if len(rows) < 2 or len(rows[0]) < 2:
        raise UsageError(f"{file}: needs a first row of names, a photo's and its attributes', and a row for each photo")
    columns = [name.strip() for name in rows[0][1:]]
    names = [name for name in columns if name != PERSON]
    if not all(columns) or len(set(columns)) < len(columns):
        raise UsageError(f"{file}: a column without a name, or two of one name")
    found = Labels(tuple("_".join(name.split()) for name in names))
    for number, row in enumerate(rows[1:], 2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != len(rows[0]):
            raise UsageError(f"{file}, row {number}: {len(cells)} cells, {len(rows[0])} columns")
        photo, known = cells[0], dict(zip(columns, cells[1:], strict=True))
        if photo in found.values or photo in found.people:
            raise UsageError(f"{file}, row {number}: {photo} for the second time")
        if known.get(PERSON):
            found.people[photo] = known[PERSON]
        if names:
            values = [_value(known[name], f"{file}, row {number}, {name}") for name in names]
            found.values[photo] = None if None in values else [value or 0 for value in values]
    return found


def _value(cell: str, where: str) -> int | None:
    if cell.lower() in YES:
        return 1
    if cell.lower() in NO:
        return -1
    if cell:
        raise UsageError(f"{where}: {cell!r:.40} is neither 1 nor 0")
    return None


def split_people(faces: list[Face], val: float, test: float) -> dict[str, list[Face]]:
    """Faces by split, nobody in two of them; at least one person is in train and in val. Raises UsageError."""
    people = sorted({face.person for face in faces})
    if len(people) < 2:
        raise UsageError(f"{len(faces)} faces of {len(people)} people were found: at least two people are needed")
    order = [people[index] for index in np.random.default_rng(0).permutation(len(people))]
    held = max(1, round(val * len(people)))
    tested = min(round(test * len(people)), len(people) - held - 1)
    part = dict.fromkeys(order, "train") | dict.fromkeys(order[:held], "val")
    part |= dict.fromkeys(order[held : held + tested], "test")
    return {split: [face for face in faces if part[face.person] == split] for split in SPLITS}


def _write(splits: dict[str, list[Face]], names: tuple[str, ...], report: dict, out: Path) -> None:
    """Writes everything, or nothing. Raises UsageError."""
    people = {
        person: index for index, person in enumerate(sorted({f.person for rows in splits.values() for f in rows}))
    }
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".csi-demo-pack-", dir=out.parent) as scratch:
            made = Path(scratch) / "pack"
            for side in ("64", "178"):
                (made / side).mkdir(parents=True)
                for split, rows in splits.items():
                    kept = [(face, face.frame if side == "64" else face.whole) for face in rows]
                    if cells := [(face, picture) for face, picture in kept if picture is not None]:
                        _write_pack(made / side / f"{split}.parquet", cells, people, names)
            (made / REPORT).write_text(json.dumps(report, indent=1) + "\n")
            os.replace(made, out)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}") from None


def _write_pack(file: Path, rows: list[tuple[Face, bytes]], people: dict[str, int], names: tuple[str, ...]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "image": [{"bytes": picture, "path": face.path} for face, picture in rows],
            "identity": pa.array([people[face.person] for face, _ in rows], pa.int32()),
            "attributes": pa.array([face.labels for face, _ in rows], pa.list_(pa.int8())),
        }
    )
    if not names:
        table = table.drop_columns("attributes")
    pq.write_table(table.replace_schema_metadata({"attribute_names": " ".join(names)}), file, row_group_size=100)
