"""What every method and every command has to keep, those that are added later, too."""

from __future__ import annotations

import argparse
import pickle
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest
import torch
from PIL import Image

import csi_demo
from csi_demo import available_methods, commands, load_method, masks
from csi_demo.cli import main
from csi_demo.errors import ControlError
from csi_demo.pixels import mask_to_tensor, to_tensor
from csi_demo.registry import REGISTRY

from .server import ROOT

IMAGE = to_tensor(Image.open(ROOT / "examples" / "face-1.png").convert("RGB"))
MASK = mask_to_tensor(masks.family("30,44,38,49"))
SHARED = ("common", "progress", "workers")  # by several commands
COMMANDS = [module.name for module in pkgutil.iter_modules(commands.__path__) if module.name not in SHARED]


def test_the_public_names_are_listed_before_they_are_imported() -> None:
    code = "import csi_demo, sys; print(*dir(csi_demo)); assert 'torch' not in sys.modules"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {*csi_demo.__all__} <= {*said.split()}
    assert all(callable(getattr(csi_demo, name)) for name in csi_demo.__all__)


@pytest.mark.parametrize("name", available_methods())
def test_a_method_keeps_the_seam(name: str) -> None:
    method = load_method(name)
    assert (method.name, method.label) == (name, REGISTRY[name].label)
    assert pickle.loads(pickle.dumps(method)) is method
    assert repr(method).startswith(f"<method {name} ({method.label}) on cpu: {len(method.controls)} controls, options ")
    offered = (*method.controls, *method.options)
    assert len({control.name for control in offered}) == len(offered)
    for control in offered:
        assert control.label
        assert control.help
        assert control.minimum < control.maximum
        if control.default is not None:
            assert control.check(control.default) == control.default
        with pytest.raises(ControlError, match="out of range"):
            control.check(control.maximum + 1)
    names = {control.name for control in method.controls}
    assert {*method.relevance(MASK)} <= names
    assert {*method.start_values(IMAGE, MASK)} <= names
    assert {*method.surprise(IMAGE, MASK, 1)} <= names
    presets = method.presets(MASK)
    for values in presets.values():
        assert values
        assert method.split(values)[0].keys() == values.keys() <= names
    if presets:
        assert method.previews(IMAGE, MASK, list(presets.values())).shape == (len(presets), *IMAGE.shape[1:])
    settings = {control.name: control.maximum for control in offered[:1]} | {"nothing": 1.0}
    assert method.split(settings)[0].keys() | method.split(settings)[1].keys() == settings.keys()


@pytest.mark.parametrize("name", available_methods())
def test_a_method_fills_the_hole_alone_and_each_seed_by_itself(name: str) -> None:
    method = load_method(name)
    few = {option.name: option.minimum for option in method.options if option.name in ("steps", "iterations")}
    steps = list(method.complete(IMAGE, MASK, seeds=(3, 4), options=few))
    assert [step.progress for step in steps] == sorted(step.progress for step in steps)
    assert steps[-1].progress == 1.0
    for step in steps:
        assert step.images.shape[1:] == IMAGE.shape[1:]
        assert step.images.abs().max() <= 1.0
        assert torch.equal(torch.where(MASK > 0.5, step.images, IMAGE), IMAGE.expand_as(step.images))
    assert len(steps[-1].images) == 2
    assert {"seconds", "figures"} <= steps[-1].info.keys()
    assert len(steps[-1].info["figures"]) == 2
    *_, alone = method.complete(IMAGE, MASK, seeds=(4,), options=few)
    assert (alone.images - steps[-1].images[1:]).abs().max() < 0.02  # of 2: kernels sum a batch in another order


@pytest.mark.parametrize("module", COMMANDS)
def test_a_file_of_commands_is_on_the_command_line_and_says_what_it_does(module: str, capsys) -> None:
    added = argparse.ArgumentParser().add_subparsers()
    import_module(f"csi_demo.commands.{module}").add_to(added)
    assert added.choices
    for command in added.choices:
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
        assert f"csi_demo {command}" in capsys.readouterr().out
        assert main([command, "--no-such-option"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("csi_demo: ")
        assert said.count("\n") == 1
