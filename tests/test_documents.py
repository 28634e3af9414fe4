"""The commands of README and docs/: the command line takes all of them, and they run as they stand, at small limits."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from PIL import Image

from csi_demo import methods, registry
from csi_demo.cli import main, parser
from csi_demo.complete import complete_photo

from .conftest import write_pack
from .server import ROOT

FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:^|`)((?:[A-Z_]+=\S+ )?python -m csi_demo [a-z-]+ [^`\n]+)", re.MULTILINE)
PLACES = {"PID": "1", "X,Y,SIZE": "222,68,40", "#RRGGBB": "#201810"}
COMMANDS = sorted({line for file in FILES for line in COMMAND.findall(file.read_text())})
ELSEWHERE = {  # run by tests of their own, since they need a server, a Hub, trained variants or answers
    "ablations": "tests/research/studies/test_ablations.py",
    "bench": "tests/ops/test_benchmark.py",
    "publish": "tests/ops/test_hub.py",
    "soak": "tests/ops/test_soaking.py",
    "trial": "tests/commands/test_trial.py",
}
TINY = "pictures=8 batch=4 val_pictures=4 bf16=false compile=false warmup=8 critic_width=8"
SMALL = {
    "train": ["--device", "cpu", "--minutes", "9", *(word for name in TINY.split() for word in ("--set", name))],
    "discover": ["--limit", "2"],
}


def words_of(line: str) -> tuple[dict[str, str], list[str]]:
    """The environment and the words of a command as a document has it."""
    for place, value in PLACES.items():
        line = line.replace(place, value)
    before, _, after = line.partition("python -m csi_demo ")
    return dict(word.split("=", 1) for word in before.split()), shlex.split(after)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one_that_the_command_line_takes(line: str) -> None:
    _, words = words_of(line)
    parsed = parser().parse_args(words)
    assert parsed.command == words[0]
    if words[0] in ELSEWHERE:
        assert (ROOT / ELSEWHERE[words[0]]).is_file()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the documents' commands are about."""
    folder = tmp_path_factory.mktemp("documents")
    photo = Image.open(ROOT / "examples" / "astronaut.jpg")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copy(ROOT / "examples" / "astronaut.jpg", folder / "photo.jpg")
    mask = Image.new("L", photo.size, 255)
    mask.paste(0, (190, 140, 250, 170))
    mask.save(folder / "mask.png")
    for name in ("docs", "photos", "folder", "data"):
        (folder / name).mkdir()
    photo.save(folder / "photos" / "anna.jpg")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "photos" / "eva.png")
    photo.rotate(8).save(folder / "photos" / "ida.png")
    (folder / "labels.csv").write_text("photo,person,Smiling,Eyeglasses\nanna.jpg,anna,1,0\neva.png,eva,0,\n")
    for name in ("folder", "data"):
        write_pack(folder / name / "train.parquet", 12, 0)
        write_pack(folder / name / "val.parquet", 6, 1)
    write_pack(folder / "val.parquet", 6, 1)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_the_commands_of_a_document_run_one_after_another(name: str, place: Path) -> None:
    (file,) = [file for file in FILES if file.stem == name]
    for line in dict.fromkeys(COMMAND.findall(file.read_text())):
        more, words = words_of(line)
        if words[0] in ELSEWHERE or "CSI_WEIGHTS_REPO" in more:
            continue
        environment = os.environ | more | {"PYTHONPATH": str(ROOT), "CSI_CACHE": str(place / "cache")}
        command = [sys.executable, "-m", "csi_demo", *words, *SMALL.get(words[0], [])]
        ended = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, f"{line}\n{ended.stderr[-2000:]}"


def test_the_method_of_contributing_is_a_method(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    code, line = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 40
    module = type(sys)("csi_demo.methods.mean")
    module.__package__ = "csi_demo.methods"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code, module.__dict__)
    monkeypatch.setattr(
        registry, "REGISTRY", registry.REGISTRY | eval(f"{{{line.strip()}}}", {"Entry": registry.Entry})
    )
    for user in (methods, import_module("csi_demo.commands.train")):
        monkeypatch.setattr(user, "REGISTRY", registry.REGISTRY)
    photo = ROOT / "examples" / "astronaut.png"
    words = [
        "complete",
        str(photo),
        "--mask",
        "mouth",
        "--method",
        "mean",
        "--set",
        "light=0.5",
        "--out",
        str(tmp_path),
    ]
    assert main(words) == 0
    darker, lighter = (complete_photo(photo, "mouth", "mean", controls={"light": value})[0] for value in (-0.5, 0.5))
    levels = [torch.tensor(list(picture.convert("L").getdata())).float().mean() for picture in (darker, lighter)]
    assert levels[0] < levels[1]
    assert main(["train", "mean", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "mean has no weights: there is nothing to train" in capsys.readouterr().err
