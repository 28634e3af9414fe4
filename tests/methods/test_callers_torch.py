"""Whatever the caller has set in PyTorch, a method does the same, and leaves it as it was."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo import device, find_faces
from csi_demo.complete import Request, Subject
from csi_demo.editing import editor
from csi_demo.methods import available_methods, load_method
from csi_demo.photo import finding, refining
from csi_demo.registry import REGISTRY
from csi_demo.weights import available, load_network

OPTIONS = {"dcgan": {"steps": 6}, "vae": {"iterations": 2}, "vae-oneshot": {"iterations": 2}}
MASK = torch.ones(1, 1, 64, 64)
MASK[..., 44:50, 26:38] = 0.0


@contextmanager
def double() -> Any:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES: dict[str, tuple[Callable[[], Any], ...]] = {
    "no gradients": (torch.no_grad,),
    "float64": (double,),
    "autocast": (lambda: torch.autocast("cpu", torch.bfloat16),),
    "all": (torch.inference_mode, double, lambda: torch.autocast("cpu", torch.bfloat16), lambda: torch.device("meta")),
}


def standing() -> tuple[Any, ...]:
    """What a caller may have set, and the random numbers that come next."""
    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
    numbers = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    states = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()
    return *modes, *numbers, *states


def fill(name: str) -> torch.Tensor:
    image = torch.linspace(-1.0, 1.0, 64, device="cpu", dtype=torch.float32).expand(1, 3, 64, 64)
    *_, last = load_method(name).complete(image, MASK, (3,), {}, OPTIONS.get(name, {}))
    return last.images


@pytest.mark.parametrize("name", available_methods())
def test_a_fill_is_the_same_in_any_mode(name: str) -> None:
    """The case: DCGAN in `torch.no_grad()` and every method under another default dtype or autocast broke down."""
    plain = fill(name)
    for wanted in ("no gradients", "float64", "autocast", "all") if name in ("dcgan", "vae-oneshot") else ("all",):
        with ExitStack() as modes:
            for mode in MODES[wanted]:
                modes.enter_context(mode())
            before = standing()
            load_method.cache_clear()
            assert torch.equal(fill(name), plain), wanted
            assert standing() == before, wanted


def test_between_two_steps_the_callers_modes_hold() -> None:
    image = torch.zeros(1, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = standing()
        steps = load_method("dcgan").complete(image, MASK, (0,), {}, {"steps": 6})
        for _ in zip(range(2), steps, strict=False):
            assert standing() == before
        steps.close()
        assert standing() == before


def test_a_request_leaves_the_callers_threads_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The case: with every core taken, the caller's PyTorch had one thread for ever after."""
    monkeypatch.setattr(device, "_most", 2)
    monkeypatch.setattr(device, "_running", lambda: 99)
    monkeypatch.setattr(device, "_running_before", 99)
    outer = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        subject = Subject.of_frame(Image.new("RGB", (64, 64)), MASK[0, 0].numpy() > 0)
        request = Request(subject, load_method("dcgan"), options={"steps": 6})
        for _ in zip(range(2), request.steps(), strict=False):
            assert torch.get_num_threads() == 2
        request.finished(request.last_step().pictures[0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(outer)


def test_faces_refining_and_editing_are_the_same_in_any_mode(astronaut: Image.Image) -> None:
    def work() -> tuple[Any, ...]:
        for load in (finding._aligner, refining.load_refiner, load_method):
            load.cache_clear()
        (place, *_) = find_faces(astronaut)
        session = editor.open_editor(astronaut, placement=place)
        session.paint(place.x, place.y, 20, "#803020", 1)
        scene = refining.Scene.of(astronaut, place.photo_mask("mouth", astronaut.size), place)
        refined = scene.refine(place.frame(astronaut))
        return place, np.asarray(session.frame).tolist(), np.asarray(refined).tolist()

    plain = work()
    with ExitStack() as modes:
        for mode in MODES["all"]:
            modes.enter_context(mode())
        before = standing()
        assert work() == plain
        assert standing() == before


@pytest.mark.parametrize("name", [name for name in REGISTRY if available(name)])
def test_loading_draws_no_random_number(name: str) -> None:
    """The case: loading any network moved torch's random state."""
    before = standing()
    network = load_network(name)
    assert standing() == before
    assert all(
        tensor.dtype != torch.float64 and torch.isfinite(tensor).all() for tensor in network.state_dict().values()
    )
