"""What a seed reproduces, as docs/usage.md claims it.

Exactly here, and to so many levels on another path of the libraries, which is what another machine comes to.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from csi_demo import masks

from ..server import ROOT

pytestmark = pytest.mark.slow

CODE = """
import sys
import numpy as np
import torch
from csi_demo import complete_photo

print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
fills = {}
for name in ("csi mouth", "csi full", "vae left", "dcgan left"):
    method, mask = name.split()
    pictures = complete_photo("examples/astronaut.png", mask, method, seeds=(0, 1))
    fills[name] = np.stack([np.asarray(picture) for picture in pictures])
np.savez(sys.argv[1], **fills)
"""
PLAIN = {"OMP_NUM_THREADS": "1"}
OLDER = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "NUMBA_CPU_NAME": "generic"}
ROW = re.compile(r"^\| `(csi|vae|dcgan)` \| (\d+) \| ([\d.]+) \|", re.MULTILINE)


def claimed() -> dict[str, tuple[float, float]]:
    """Method -> the levels that a pixel may differ by, and those on average over the hole."""
    rows = ROW.findall((ROOT / "docs" / "usage.md").read_text())
    return {method: (float(most), float(mean)) for method, most, mean in rows}


def fills(file: Path, **environment: str) -> tuple[str, dict[str, np.ndarray]]:
    """What a process of its own fills, "METHOD MASK" -> (2, 64, 64, 3), and the path and threads that it took."""
    words = [sys.executable, "-c", CODE, str(file)]
    done = subprocess.run(
        words, env=os.environ | PLAIN | environment, cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), dict(np.load(file))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, np.ndarray]]:
    return fills(tmp_path_factory.mktemp("here") / "fills.npz")


def apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Method -> the most levels that a pixel differs by, and the mean of the hole of the two where it is larger."""
    found = {method: (0.0, 0.0) for method in claimed()}
    for name in one:
        method, mask = name.split()
        levels = np.abs(one[name].astype(int) - other[name])
        assert not levels[:, masks.family(mask)].any(), "an observed pixel differs"
        hole = levels[:, ~masks.family(mask)]
        most, mean = found[method]
        found[method] = max(most, float(hole.max())), max(mean, float(hole.mean()))
    return found


def test_the_claim_is_there() -> None:
    assert claimed().keys() == {"csi", "vae", "dcgan"}


def test_another_process_draws_the_same_bytes(here: tuple[str, dict[str, np.ndarray]], tmp_path: Path) -> None:
    said, again = fills(tmp_path / "fills.npz")
    assert said == here[0]
    assert set(apart(here[1], again).values()) == {(0.0, 0.0)}
    for name, pictures in again.items():
        assert not np.array_equal(pictures[0], pictures[1]), f"{name}: another seed is the same fill"


@pytest.mark.parametrize("way", [{"OMP_NUM_THREADS": "2"}, OLDER], ids=["threads", "instructions"])
def test_another_path_of_the_libraries_stays_within_the_levels_claimed(
    way: dict[str, str], here: tuple[str, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    said, other = fills(tmp_path / "fills.npz", NUMBA_CACHE_DIR=str(tmp_path), **way)
    if said == here[0]:
        pytest.skip(f"this build of PyTorch knows one path alone: {said}")
    limits = claimed()
    for method, (most, mean) in apart(here[1], other).items():
        assert most <= limits[method][0], method
        assert mean <= limits[method][1], method
