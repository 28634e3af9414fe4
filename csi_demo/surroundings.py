"""What the environment of a process may say that would break it, proxies and users without a name, or slow it down,
threads that spin while they wait."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from .errors import UsageError

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def spare_loopback() -> None:
    """No request to this machine itself goes through a proxy. Raises UsageError for a proxy that is none."""
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name.strip() for name in spared.split(",") if name.strip()]
    if "*" not in names:
        names += [name for name in LOOPBACK if name not in names]
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(names)
    if any(os.environ.get(name) or os.environ.get(name.upper()) for name in PROXIES):
        import httpx

        try:
            httpx.Client().close()
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise UsageError(f"a proxy that the environment names cannot be used: {error}") from None


def share_cores() -> None:
    """Threads that wait for each other sleep, unless the environment says otherwise. To be called before PyTorch loads.

    By default they spin: alone a little quicker, but as soon as something else wants the same cores, such as a second
    visitor, a step of the photo editor takes a second in the place of a twentieth.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def shipped(name: str) -> Path:
    """What comes with the code, such as the folder of weights: in the installed package, or beside it in a checkout."""
    inside = Path(__file__).with_name("shipped") / name
    return inside if inside.exists() else Path(__file__).resolve().parents[1] / name


def user() -> str:
    """This user's number, or name where there are no numbers: not everybody who has a number has a name."""
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def own_folder(folder: Path) -> Path:
    """Makes a folder that is this user's alone, or takes one that is. Raises UsageError for one that is not, and
    OSError where there can be none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    others = hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022)
    if not stat.S_ISDIR(status.st_mode) or others:
        raise UsageError(f"{folder} is not a folder of this user alone: remove it, or choose another place")
    return folder
