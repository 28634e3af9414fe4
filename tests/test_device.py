"""The setting of the device, and that a method leaves pictures and noise where they belong."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import torch
from PIL import Image

from csi_demo import device, masks
from csi_demo.cli import main
from csi_demo.complete import Request, Subject
from csi_demo.device import chosen_device
from csi_demo.errors import CompletionError, DeviceError
from csi_demo.methods import available_methods, load_method
from csi_demo.methods.vae import VAEMethod
from csi_demo.ui import engine

from .server import ROOT
from .visitor import FRAME_FILE

with pytest.MonkeyPatch.context() as patch:
    if os.path.expanduser("~") == "~":  # the library wants a home to be imported
        patch.setenv("HOME", tempfile.gettempdir())
    import spaces

    from csi_demo.ui.server import zerogpu

needs_none = pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
needs_one = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
FILL = ("complete", str(FRAME_FILE), "--aligned", "--mask", "mouth", "--method", "vae-oneshot")
QUICK = {"dcgan": {"steps": 5.0}, "vae": {"iterations": 2.0}, "vae-oneshot": {"iterations": 1.0}}


@pytest.mark.parametrize("name", ["", "auto", "cpu"])
def test_without_a_gpu_the_cpu_is_chosen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSI_DEVICE", name)
    assert chosen_device().type == ("cpu" if name == "cpu" or not torch.cuda.is_available() else "cuda")


def test_an_unknown_device_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CSI_DEVICE", "tpu")
    load_method.cache_clear()
    assert main([*FILL, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "csi_demo: CSI_DEVICE tpu: use one of auto, cpu, cuda\n"
    assert not (tmp_path / "out").exists()


@needs_none
def test_a_gpu_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CSI_DEVICE", "cuda")
    with pytest.raises(DeviceError):
        chosen_device()
    load_method.cache_clear()
    assert main([*FILL, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "csi_demo: CSI_DEVICE cuda: torch finds no CUDA device here; use cpu or auto\n"


def test_the_page_does_not_start_with_an_unknown_device() -> None:
    ended = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | {"CSI_DEVICE": "tpu"}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "csi_demo: CSI_DEVICE tpu: use one of auto, cpu, cuda\n"


def request(name: str, seeds: tuple[int, ...] = (0,), **options: float) -> Request:
    """A fill of the astronaut's mouth."""
    with Image.open(FRAME_FILE) as frame:
        return Request(Subject.of_frame(frame, masks.family("mouth")), load_method(name), seeds, options=options)


def complete(name: str, seeds: tuple[int, ...] = (0, 1), **options: float) -> list[torch.Tensor]:
    """The pictures of a completion, and those beside it."""
    image = load_method("vae").sample(1, seed=3).mul(127.5).round().div(127.5)
    mask = torch.from_numpy(masks.family("mouth")).float()[None, None]
    *_, last = load_method(name).complete(image, mask, seeds, options=QUICK[name] | options)
    assert torch.equal(last.images[:, :, mask[0, 0] > 0.5], image[0][:, mask[0, 0] > 0.5].expand(len(seeds), -1, -1))
    return [last.images, *last.views.values()]


@needs_one
@pytest.mark.parametrize("name", QUICK)
def test_a_gpu_draws_the_same_but_for_rounding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for kind in ("cpu", "cuda"):
        monkeypatch.setenv("CSI_DEVICE", kind)
        load_method.cache_clear()
        drawn.append(complete(name))
        assert load_method(name).device.type == device  # type: ignore[union-attr]
    for one, other in zip(*drawn, strict=True):
        assert one.device == other.device == torch.device("cpu")
        assert (one - other).abs().max() < 0.02


def test_only_networks_are_placed_and_pixels_drawn_one_by_one_stay_on_the_cpu() -> None:
    assert [name for name in available_methods() if not load_method(name).accelerated] == ["csi", "pixelcnn", "telea"]
    for name in QUICK:
        assert next(load_method(name).model.parameters()).device.type == chosen_device().type
    assert next(load_method("csi").model.parameters()).device.type == "cpu"


def test_the_calls_for_a_gpu_are_the_functions_themselves_elsewhere_and_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    assert zerogpu.in_the_fork is spaces.GPU(zerogpu.in_the_fork)
    with closing(engine.complete(request("vae", iterations=5.0))) as steps:
        assert [step.progress for step in steps] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_what_goes_wrong_on_the_gpu_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise CompletionError("its loss is not finite")

    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    monkeypatch.setattr(VAEMethod, "complete", broken)
    with pytest.raises(CompletionError, match="not finite"):
        list(engine.complete(request("vae")))


def test_elsewhere_the_page_does_without_the_library_for_it() -> None:
    """The case: it wants a home, and for a user without one every fill by DCGAN or a VAE went wrong on the page."""
    code = f"""
import sys
from PIL import Image
from csi_demo.complete import Request, Subject
from csi_demo.methods import load_method
from csi_demo.ui import engine

subject = Subject.of(Image.open({str(FRAME_FILE)!r}), "mouth")
*_, last = engine.complete(Request(subject, load_method("vae-oneshot")))
assert last.progress == 1.0
assert "spaces" not in sys.modules
"""
    environment = {name: value for name, value in os.environ.items() if name != "SPACES_ZERO_GPU"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_request_goes_to_another_process_by_the_name_of_its_method() -> None:
    sent = pickle.dumps(request("vae", iterations=5.0))
    assert len(sent) < 100_000
    assert pickle.loads(sent).method is load_method("vae")


def test_more_work_asks_for_more_seconds_up_to_a_limit() -> None:
    def asked(method: str, samples: int = 1, **options: float) -> int:
        return zerogpu.seconds(request(method, tuple(range(samples)), **options))

    assert asked("vae-oneshot") <= asked("vae") <= asked("vae", iterations=200) <= 10
    assert asked("dcgan") < asked("dcgan", 8) < asked("dcgan", 8, steps=3000, restarts=32) == zerogpu.MOST_SECONDS


def test_threads_are_left_to_what_else_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores: a busy moment changes nothing, busy neighbours do, and what they leave is taken again."""
    monkeypatch.setattr(device, "_most", 2)
    monkeypatch.setattr(device, "_running_before", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    before, found = torch.get_num_threads(), []
    try:
        for running in (1, 9, 1, 9, 9, 4, 3, 1):
            monkeypatch.setattr(device, "_running", lambda running=running: running)
            device.share_threads()
            found.append(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    assert found == [2, 2, 2, 2, 1, 1, 2, 2]
