"""The wheel: all that the package needs is in it, and it fills from elsewhere without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .server import ROOT

WITHOUT_EXTRAS = """
import re, sys, tomllib
from pathlib import Path
root = Path(sys.argv[1])
extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
own = {re.match("[a-z-]+", line)[0] for line in (root / "requirements.txt").read_text().splitlines()}
names = {re.match("[a-z-]+", line)[0] for extra in extras.values() for line in extra} - own - {"packaging", "tqdm"}
imported = {"scikit-image": "skimage", "pytest-xdist": "xdist", "import-linter": "importlinter"}
for name in names:
    sys.modules[imported.get(name, name.replace("-", "_"))] = None
from csi_demo.__main__ import main
from csi_demo.ui.blocks import build
build()
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="reads pyproject.toml with tomllib")
def test_the_page_and_a_fill_need_no_extra(tmp_path: Path) -> None:
    """What comes with Gradio and the Hub's client anyway, packaging and tqdm, may be there."""
    words = ["complete", str(ROOT / "examples" / "astronaut.png"), "--mask", "mouth", "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS, str(ROOT), *words], cwd=ROOT, check=True)
    assert (tmp_path / "sample-0.png").is_file()


@pytest.mark.slow
def test_a_wheel_has_weights_and_examples_and_fills_away_from_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    ended = subprocess.run(build, capture_output=True, text=True)
    if "Could not find a version" in ended.stderr or "connection" in ended.stderr.lower():
        pytest.skip("needs the package index, for the build backend")
    assert ended.returncode == 0, ended.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        file.extractall(tmp_path / "installed")
    for kind in ("csi_demo", "weights", "examples"):
        target = "csi_demo" if kind == "csi_demo" else f"csi_demo/shipped/{kind}"
        tracked = subprocess.run(["git", "ls-files", kind], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert {f"{target}{path.removeprefix(kind)}" for path in tracked.splitlines()} <= names
    scripts = next(name for name in names if name.endswith("entry_points.txt"))
    assert "csi-demo = csi_demo.__main__:main" in (tmp_path / "installed" / scripts).read_text()

    shipped = tmp_path / "installed" / "csi_demo" / "shipped"
    words = ["complete", str(shipped / "examples" / "astronaut.png"), "--mask", "mouth", "--out", "out"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    environment.pop("CSI_WEIGHTS_DIR", None)
    subprocess.run([sys.executable, "-m", "csi_demo", *words], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "out" / "sample-0.png").is_file()
