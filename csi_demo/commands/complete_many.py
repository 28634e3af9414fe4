"""`complete-many`: fills the same hole in every photo of a folder, shared among processes by Ray."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import PhotoError, UsageError
from ..methods import Method
from ..photo.reading import SUFFIXES, read_file
from .complete import RUN, Recipe, add_settings, read_recipe, result_files, write_files

ROOT = Path(__file__).resolve().parents[2]
UNFINISHED = ".csi-demo-unfinished-"
PASSED_ON = ("CSI_WEIGHTS_DIR", "CSI_WEIGHTS_REPO")  # settings that the workers take over


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    many = commands.add_parser("complete-many", help="fill the same hole in every photo of a folder, with Ray")
    many.add_argument("folder", type=Path, help=f"of photos: {', '.join(SUFFIXES)}")
    add_settings(many)
    many.add_argument("--recursive", action="store_true", help="photos in folders below it, too")
    many.add_argument("--out", type=Path, required=True, help="a folder that gets a folder for each photo")
    many.add_argument("--address", help="of a Ray cluster; default: processes of this machine alone")
    many.add_argument("--workers", type=int, help="processes of one thread each; default: as many as there are CPUs")
    many.set_defaults(run=_complete_many)


def _complete_many(options: argparse.Namespace) -> int:
    if options.workers is not None and not 1 <= options.workers <= 1024:
        raise UsageError(f"--workers {options.workers} is out of range: 1 to 1024")
    if not options.folder.is_dir():
        raise UsageError(f"no such folder: {options.folder}")
    photos, skipped = find_photos(options.folder, options.recursive, options.out)
    if not photos:
        raise UsageError(f"no photos in {options.folder}{_why(skipped)}: their names end in {', '.join(SUFFIXES)}")
    recipe, method = read_recipe(options)
    _prepare(options.out)
    places = {photo: options.out / photo.relative_to(options.folder) for photo in photos}
    left = [photo for photo, place in places.items() if not _is_done(photo, place, recipe)]
    failed = 0
    for photo, result in _fill_all(left, recipe, method, options.address, options.workers) if left else ():
        if isinstance(result, Exception):
            failed += 1
            reason = (str(result).strip() or type(result).__name__).splitlines()[0]
            print(f"csi_demo: {photo.relative_to(options.folder)}: {reason}", file=sys.stderr)
        else:
            _store(result, places[photo], options.out)
    done = f"{len(left) - failed} filled in, {len(photos) - len(left)} done before, {failed} failed"
    print(f"{done}, {sum(skipped.values())} skipped{_why(skipped)}")
    return 1 if failed else 0


def find_photos(folder: Path, recursive: bool, out: Path) -> tuple[list[Path], Counter[str]]:
    """The photos in a folder, and in the folders below it if that is wanted, in order; and why the rest is skipped.

    out: is not looked into. Raises UsageError for a folder that cannot be read.
    """
    photos: list[Path] = []
    skipped: Counter[str] = Counter()
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}") from None
    for entry in entries:
        if entry.name.startswith("."):  # and so what macOS puts beside each file on other systems' disks
            skipped["hidden"] += 1
        elif entry.is_dir():
            if not recursive:
                skipped["folders, without --recursive"] += 1
            elif entry.is_symlink():
                skipped["links to folders"] += 1
            elif entry.resolve() != out.resolve():
                below, rest = find_photos(entry, recursive, out)
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


def _is_done(photo: Path, folder: Path, recipe: Recipe) -> bool:
    """Whether a folder has the result of this photo and recipe."""
    try:
        run = json.loads((folder / RUN).read_bytes())
        return run["fingerprint"] == recipe.fingerprint(read_file(photo))
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


class _Worker:
    """A process of one thread that has loaded the method."""

    def __init__(self, recipe: Recipe, method: Method) -> None:
        import cv2
        import torch

        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self.recipe, self.method = recipe, method

    def fill(self, photo: bytes) -> dict[str, bytes]:
        """The files of a photo's result."""
        return result_files(photo, "the photo", self.recipe, self.method)


def _knock(address: str) -> None:
    """Raises UsageError where nothing listens at an address: Ray itself would try, and complain, for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():
            socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray at {address}: {error}") from None


def _fill_all(
    photos: Sequence[Path], recipe: Recipe, method: Method, address: str | None, workers: int | None
) -> Iterator[tuple[Path, dict[str, bytes] | Exception]]:
    """Each photo with the files of its result, or with what went wrong, in the order in which they are done."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address:
        _knock(address)
    else:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # on any system: listen on loopback alone
    import ray
    from ray.exceptions import RayError, RayTaskError

    waiting, count = list(reversed(photos)), min(workers or os.cpu_count() or 1, len(photos))
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": passed_on | {"PYTHONPATH": str(ROOT), "CSI_DEVICE": "cpu"}},
            log_to_driver=False,
            logging_level=logging.ERROR,
            num_cpus=None if address else count,
            include_dashboard=None if address else False,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"no Ray at {address or 'this machine'}: {str(error).splitlines()[0]}") from None
    try:
        if address:
            cpus = int(ray.cluster_resources().get("CPU", 1))
            count = min(workers or cpus, cpus, len(photos))
        kind: Any = ray.remote(num_cpus=1, max_restarts=-1)(_Worker)
        idle = [kind.remote(recipe, method) for _ in range(count)]
        running: dict[Any, tuple[Path, Any]] = {}
        while waiting or running:
            while waiting and idle:
                photo, worker = waiting.pop(), idle.pop()
                try:
                    running[worker.fill.remote(read_file(photo))] = photo, worker
                except PhotoError as error:
                    idle.append(worker)
                    yield photo, error
            for reference in ray.wait(list(running))[0] if running else ():
                photo, worker = running.pop(reference)
                idle.append(worker)
                try:
                    yield photo, ray.get(reference)
                except RayTaskError as error:
                    yield photo, error.cause
                except RayError as error:
                    yield photo, error
    finally:
        ray.shutdown()
