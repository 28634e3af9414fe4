"""`complete-many`: fills holes in every photo of a folder, by processes of this machine or of a Ray cluster."""

from __future__ import annotations

import argparse
import copy
import csv
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import UsageError, UserError
from ..photo.reading import SUFFIXES, read_file
from ..sampling import machine_code
from .common import write_json
from .complete import RUN, Recipe, add_settings, read_recipe, write_files
from .progress import Progress
from .workers import Job, default_workers, in_processes, on_cluster

UNFINISHED = ".csi-demo-unfinished-"
REPORT = "report.json"
COLUMNS = ("photo", "name", "method", "mask", "seed", "samples")  # of a table; others are controls and options


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    many = commands.add_parser("complete-many", help="fill holes in every photo of a folder")
    many.add_argument("folder", type=Path, help=f"of photos: {', '.join(SUFFIXES)}")
    add_settings(many)
    many.add_argument(
        "--table",
        type=Path,
        help=f"a CSV file of fills, one a row: {', '.join(COLUMNS)}, or the name of a control or option as a column; "
        "an empty cell is as the command line says, a row without a photo is for all",
    )
    many.add_argument("--recursive", action="store_true", help="photos in folders below it, too")
    many.add_argument("--out", type=Path, required=True, help=f"gets a folder for each photo, and {REPORT}")
    many.add_argument("--address", help="of a Ray cluster; default: processes of this machine alone")
    many.add_argument("--workers", type=int, help="processes of one thread each; default: as many as there are CPUs")
    many.set_defaults(run=_complete_many)


def _complete_many(options: argparse.Namespace) -> int:
    if options.workers is not None and not 1 <= options.workers <= 1024:
        raise UsageError(f"--workers {options.workers} is out of range: 1 to 1024")
    if not options.folder.is_dir():
        raise UsageError(f"no such folder: {options.folder}")
    if options.out.resolve() == options.folder.resolve():
        raise UsageError(f"--out {options.out} is the folder of photos itself: choose another")
    photos, skipped = find_photos(options.folder, options.recursive, options.out)
    if not photos:
        raise UsageError(f"no photos in {options.folder}{_why(skipped)}: their names end in {', '.join(SUFFIXES)}")
    jobs = list(_jobs(options, photos))
    _prepare(options.out)
    machine_code.wait_until_made()
    left = [job for job in jobs if not _is_done(job)]
    report = Report(options.line, len(left), len(jobs) - len(left), skipped)
    if options.address:
        results = on_cluster(left, options.address, options.workers)
    else:
        results = in_processes(left, options.workers or default_workers())
    try:
        for job, result in results:
            if isinstance(result, Exception):
                reason = (str(result).strip() or type(result).__name__).splitlines()[0]
                report.fails(str(job.folder.relative_to(options.out)), reason)
            else:
                _store(result, job.folder, options.out)
                report.progress.step()
    finally:
        report.write(options.out)
    print(report.summary())
    return 1 if report.failed else 0


def _jobs(options: argparse.Namespace, photos: list[Path]) -> Iterator[Job]:
    """What is to be done, in the order of the photos. Raises as `read_recipe`."""
    if options.table is None:
        recipe, _ = read_recipe(options)
        for photo in photos:
            yield Job(photo, recipe, options.out / photo.relative_to(options.folder))
        return
    rows = _read_table(options)
    unknown = [name for name, _, _ in rows if name and options.folder / name not in photos]
    if unknown:
        raise UsageError(f"{options.table}: no photo {unknown[0]} in {options.folder}")
    for photo in photos:
        for name, row, recipe in rows:
            if not name or options.folder / name == photo:
                yield Job(photo, recipe, options.out / photo.relative_to(options.folder) / row)


def _read_table(options: argparse.Namespace) -> list[tuple[str, str, Recipe]]:
    """The rows of the table, checked: photo or "", the name of the row's folder, recipe. Raises UserError."""
    try:
        with options.table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{options.table} cannot be read as a CSV file: {error}") from None
    if not rows:
        raise UsageError(f"{options.table} has no rows below its names of columns: {', '.join(COLUMNS)}")
    found: list[tuple[str, str, Recipe]] = []
    for number, row in enumerate(rows, 1):
        cells = {str(name).strip(): str(value or "").strip() for name, value in row.items()}
        name = cells.get("name") or f"row-{number}"
        try:
            if Path(name).name != name or name.startswith("."):
                raise UsageError(f"{name!r} cannot be the name of a folder")
            if any(name == other and cells.get("photo", "") in (photo, "") for photo, other, _ in found):
                raise UsageError(f"a second row of the name {name!r}")
            found.append((cells.get("photo", ""), name, _row_recipe(options, cells)))
        except UserError as error:
            raise UsageError(f"{options.table}, row {number}: {error}") from None
    return found


def _row_recipe(options: argparse.Namespace, cells: Mapping[str, str]) -> Recipe:
    """The command line's settings with those of a row in their place."""
    changed = copy.copy(options)
    for name in ("method", "mask"):
        setattr(changed, name, cells.get(name) or getattr(options, name))
    for name in ("seed", "samples"):
        if text := cells.get(name):
            if not text.isdecimal():
                raise UsageError(f"{name} {text!r} is not a whole number")
            setattr(changed, name, int(text))
    own = [f"{name}={value}" for name, value in cells.items() if value and name not in COLUMNS]
    changed.settings = [*options.settings, *own]
    return read_recipe(changed)[0]


def find_photos(folder: Path, recursive: bool, out: Path) -> tuple[list[Path], Counter[str]]:
    """The photos in a folder, and in the folders below it if that is wanted, in order; and why the rest is skipped.

    out: is not looked into. Raises UsageError where the folder itself cannot be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}") from None
    photos: list[Path] = []
    skipped: Counter[str] = Counter()
    for entry in entries:
        if entry.name.startswith("."):  # and so what macOS puts beside each file on other systems' disks
            skipped["hidden"] += 1
        elif entry.is_dir():
            if not recursive:
                skipped["folders, without --recursive"] += 1
            elif entry.is_symlink():
                skipped["links to folders"] += 1
            elif entry.resolve() != out.resolve():
                try:
                    below, rest = find_photos(entry, recursive, out)
                except UsageError:
                    skipped["folders that cannot be read"] += 1
                else:
                    photos += below
                    skipped += rest
        elif not entry.exists():
            skipped["broken links"] += 1
        elif entry.suffix.lower() in SUFFIXES and entry.is_file():
            photos.append(entry)
        else:
            skipped["no photos by their names"] += 1
    return photos, skipped


def _why(skipped: Counter[str]) -> str:
    return f" ({', '.join(f'{count} {reason}' for reason, count in sorted(skipped.items()))})" if skipped else ""


def _prepare(out: Path) -> None:
    """Makes the folder, and clears it of what a run that was killed left behind."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for unfinished in out.glob(f"{UNFINISHED}*"):
            shutil.rmtree(unfinished)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}") from None


def _is_done(job: Job) -> bool:
    """Whether a job's folder has its result."""
    try:
        run = json.loads((job.folder / RUN).read_bytes())
        return run["fingerprint"] == job.recipe.fingerprint(read_file(job.photo))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _store(files: Mapping[str, bytes], folder: Path, out: Path) -> None:
    """Makes the folder of a result, whole or not at all; in one that is there, other files stay (see `write_files`)."""
    if folder.is_dir():
        write_files(files, folder)
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=out) as scratch:
            write_files(files, Path(scratch) / folder.name)
            os.replace(Path(scratch) / folder.name, folder)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None


class Report:
    """What has been done so far: said while it goes on, and kept in `REPORT`."""

    def __init__(self, command: str, todo: int, before: int, skipped: Counter[str]):
        self.command, self.before, self.skipped, self.progress = command, before, skipped, Progress(todo)
        self.failed: dict[str, str] = {}

    @property
    def filled(self) -> int:
        """How many are."""
        return self.progress.done - len(self.failed)

    def fails(self, name: str, reason: str) -> None:
        """One failed, which is said at once."""
        self.failed[name] = reason
        self.progress.say(f"{name}: {reason}")
        self.progress.step()

    def summary(self) -> str:
        """The counts in a line."""
        counts = f"{self.filled} filled in, {self.before} done before, {len(self.failed)} failed"
        return f"{counts}, {sum(self.skipped.values())} skipped{_why(self.skipped)}"

    def write(self, out: Path) -> None:
        """Raises UsageError where that cannot be done."""
        self.progress.clear()
        report = {
            "command": self.command,
            "filled": self.filled,
            "done_before": self.before,
            "failed": self.failed,
            "skipped": dict(sorted(self.skipped.items())),
            "seconds": round(self.progress.seconds, 3),
            "per_second": round(self.progress.rate, 3),
        }
        write_json(report, out / REPORT)
