"""`licences`: under what terms everything comes that the page is run with."""

from __future__ import annotations

import argparse
import re
from importlib import metadata
from pathlib import Path

from ..errors import UsageError
from ..surroundings import shipped

REQUIREMENTS = shipped("requirements.txt")
# Terms that would reach to the code here, whose licence is MIT; the "lesser" one does not.
FORBIDDING = re.compile(r"(?<!lesser )general public|(?<!l)gpl|affero|sspl|non-?commercial|proprietary", re.IGNORECASE)
ALTERNATIVE = re.compile(r"\sor\s", re.IGNORECASE)
PREFIX = "License :: "


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    licences = commands.add_parser("licences", help="the licence of every package that the page needs")
    licences.set_defaults(run=_licences)


def _licences(options: argparse.Namespace) -> int:
    found = {name: (metadata.version(name), licence_of(name)) for name in needed(REQUIREMENTS)}
    width = max(map(len, found))
    for name, (version, licence) in found.items():
        print(f"{name:{width}}  {version:14}  {licence}")
    against = [name for name, (_, licence) in found.items() if forbids(licence)]
    unknown = [name for name, (_, licence) in found.items() if not licence]
    print(f"{len(found)} packages; forbidding: {', '.join(against) or 'none'}; unknown: {', '.join(unknown) or 'none'}")
    return 1 if against or unknown else 0


def needed(file: Path) -> list[str]:
    """The packages of a requirements file and all that these need here, by name. Raises UsageError for one that is not
    installed."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    waiting = [Requirement(line) for line in lines if line and not line.startswith("-")]
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                requires = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                raise UsageError(f"{name} is not installed: install {file.name} first") from None
            names.add(name)
            further = [Requirement(text) for text in requires]
            waiting += [one for one in further if one.marker is None or one.marker.evaluate({"extra": extra})]
    return sorted(names)


def licence_of(name: str) -> str:
    """What a package says of its licence, in a line; "" where it says nothing."""
    said = metadata.metadata(name)
    if "License-Expression" in said:
        return str(said["License-Expression"])
    classified = [one.removeprefix(PREFIX) for one in said.get_all("Classifier") or [] if one.startswith(PREFIX)]
    lines = str((said.get_all("License") or [""])[0]).strip().splitlines()
    stated = lines[0].strip() if lines and lines[0].strip().upper() != "UNKNOWN" else ""
    return "; ".join([*(one.removeprefix("OSI Approved :: ") for one in classified), *([stated] if stated else [])])


def forbids(licence: str) -> bool:
    """Whether terms forbid to use a package from code under the MIT licence, every alternative that they leave."""
    return all(FORBIDDING.search(part) for part in ALTERNATIVE.split(licence))
