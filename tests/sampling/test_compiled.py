"""The compiled sampler against the torch paths, which are its oracle."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
import torch

from csi_demo.methods.csi import CSIMethod, beyond
from csi_demo.methods.csi.method import DEFAULT_TRUNCATION
from csi_demo.models import logistic_mixture
from csi_demo.pixels import masks_to_tensor
from csi_demo.sampling import compiled, gated_compiled, machine_code
from csi_demo.sampling.base import frozen_noise
from csi_demo.sampling.compiled import Box, Fill, SharedFill, Stream, sample_compiled
from csi_demo.sampling.reference import sample_reference
from csi_demo.sampling.rows import sample_pixels

from ..conftest import random_images, random_masks, random_model
from ..server import ROOT
from .test_rows import MASKS, SIZE, draw

pytest.importorskip("numba")


@pytest.fixture(autouse=True, scope="module")
def compiled_alone():
    """Servers of other tests may still be compiling; see `machine_code.alone`."""
    assert compiled.code.make(torch.float64)


def kernel(dtype):
    return lambda model, *rest: sample_compiled(Stream(model, dtype), *rest)


@pytest.mark.parametrize("deviation", [None, 0.1])
@pytest.mark.parametrize("name", MASKS)
def test_kernel_equals_the_reference_in_float64(name, deviation):
    model = random_model(1)
    mask = masks_to_tensor([MASKS[name]] * 3).double()
    x, reference = draw(sample_reference, model, mask, deviation=deviation)
    _, fast = draw(kernel(torch.float64), model, mask, deviation=deviation)
    assert torch.equal(reference[-1][0], fast[-1][0])
    assert torch.equal(torch.where(mask > 0.5, x, fast[-1][0]), fast[-1][0]), "an observed pixel changed"
    assert [p for _, p in reference] == [p for _, p in fast]


@pytest.mark.parametrize(
    "switches", [{"latent_dim": 0}, {"reverse_stream": False}, {"blocks": 1}, {"filters": 5}, {"filters": 40}]
)
def test_kernel_equals_the_reference_for_every_switch(switches):
    model = random_model(3, **switches)
    mask = masks_to_tensor([MASKS["components"]] * 3).double()
    expected = draw(sample_reference, model, mask)[1][-1][0]
    assert torch.equal(expected, draw(kernel(torch.float64), model, mask)[1][-1][0])


def test_samples_with_masks_of_their_own():
    model = random_model(4)
    mask = masks_to_tensor([MASKS["rectangle"], MASKS["strokes"], MASKS["bottom right"]]).double()
    expected = draw(sample_reference, model, mask)[1][-1][0]
    assert torch.equal(expected, draw(kernel(torch.float64), model, mask)[1][-1][0])


def test_float32_differs_by_a_level_at_most_where_it_first_differs():
    same = total = 0
    for trial in range(200):
        model = random_model(trial)
        mask = random_masks(1, seed=trial).expand(2, -1, -1, -1)
        _, exact = draw(sample_pixels, model, mask, (0, 1), trial)
        _, rounded = draw(kernel(torch.float32), model, mask, (0, 1), trial)
        a, b = ((step[-1][0].permute(0, 2, 3, 1).flatten(1, 2) + 1.0) * 127.5 for step in (exact, rounded))
        hole = (mask[:, 0] < 0.5).flatten(1)
        off = (a.round() - b.round()).abs().amax(2)
        for sample in range(2):
            apart = off[sample].nonzero().flatten()
            if len(apart):
                assert off[sample, apart[0]] == 1.0, "the first difference is more than a rounding"
        same += int(((off == 0) & hole).sum())
        total += int(hole.sum())
    assert same / total >= 0.999


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sample_is_free_of_its_batch(dtype):
    model = random_model(5, filters=40)
    stream = Stream(model, dtype)
    mask = masks_to_tensor([MASKS["components"]])
    image = random_images(1)
    box = Box.around(stream.blocks, ~MASKS["components"])
    seeds = (3, 1, 4, 1, 5, 9, 2, 6)
    maps = torch.cat([model.decode(torch.randn(1, 4, dtype=torch.float64)) for _ in seeds])
    constant = stream.constant(mask, model.context_features(image, mask.double()), box)

    def fill(which):
        noise = frozen_noise(model, [seeds[k] for k in which], SIZE, SIZE)
        x, masks = (tensor.expand(len(which), -1, -1, -1) for tensor in (image, mask))
        work = Fill(stream, x, masks, stream.biases_of_maps(constant, maps[which], len(which), box), noise)
        *_, (picture, _) = work
        return picture, work.params

    pictures, params = fill(list(range(8)))
    for which in ([4], [0, 4], [2, 3, 4, 5, 6]):
        alone, its_params = fill(which)
        assert torch.equal(alone, pictures[which])
        assert torch.equal(its_params, params[which])


def test_threads_change_nothing():
    model, mask = random_model(9), masks_to_tensor([MASKS["components"]])
    stream, box = Stream(model), Box.around(model.config.blocks, ~MASKS["components"])
    maps = model.decode(torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    constant = stream.constant(mask, model.context_features(random_images(1), mask.double()), box)
    biases = stream.biases_of_maps(constant, maps, 5, box)
    noise = frozen_noise(model, range(5), SIZE, SIZE)
    guide = logistic_mixture.Guide(random_images(5, seed=1), 0.2)
    found = []
    for threads in (1, 2, 3, 9):
        work = SharedFill(stream, random_images(1), mask, biases, noise, threads, guide)
        steps = [(pixels.clone(), progress) for pixels, progress in work]
        found.append((steps, work.params))
    for steps, params in found[1:]:
        assert [progress for _, progress in steps] == [progress for _, progress in found[0][0]]
        assert torch.equal(steps[-1][0], found[0][0][-1][0])
        assert torch.equal(params, found[0][1])


def test_bits_and_entropy_of_given_pixels_agree_with_the_whole_stream():
    model = random_model(6)
    mask = masks_to_tensor([MASKS["strokes"]]).double()
    hole = mask[0, 0] < 0.5
    x = random_images(1, seed=6)
    biases = model.biases(model.decode(torch.zeros(1, 4).double()), mask, model.context_features(x, mask))
    expected = model.logits(x, biases)[:, :, hole].mT
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-3)):
        stream = Stream(model, dtype)
        work = Fill(stream, x, mask, stream.biases_of(biases, 1, Box.around(stream.blocks, hole.numpy())), None)
        pictures = [picture for picture, _ in work]
        assert torch.equal(pictures[-1], x.to(dtype))
        assert (work.params - expected).abs().max() < tolerance
        bits = [
            -logistic_mixture.log_prob(x[:, :, hole].mT, params.double()).mean() / (3 * math.log(2))
            for params in (work.params, expected)
        ]
        assert abs(bits[0] - bits[1]) < 1e-4


def test_prepared_biases_equal_those_of_the_model():
    model = random_model(7)
    mask = masks_to_tensor([MASKS["rectangle"]]).double()
    stream = Stream(model, torch.float64)
    box = Box.around(stream.blocks, ~MASKS["rectangle"])
    maps, context = model.decode(torch.ones(1, 4).double()), model.context_features(random_images(1), mask)
    expected = stream.biases_of(model.biases(maps, mask, context), 1, box)
    found = stream.biases_of_maps(stream.constant(mask, context, box), maps, 1, box)
    assert torch.allclose(expected, found, atol=1e-12)


def test_biases_of_another_hole_are_refused():
    model = random_model(7)
    stream = Stream(model, torch.float64)
    biases = stream.biases_of(None, 1, Box.around(stream.blocks, ~MASKS["one pixel"]))
    with pytest.raises(AssertionError, match="another hole"):
        Fill(stream, random_images(1), masks_to_tensor([MASKS["everything"]]), biases, None)


def test_entropy_of_a_channel_is_that_of_its_levels():
    """With the coefficients at 0 the channels of one component are independent: their entropies add up."""
    params = torch.zeros(1, 10, dtype=torch.float64)
    params[0, 1:4] = torch.tensor([0.1, -0.7, 1.0])
    params[0, 4:7] = torch.tensor([-2.0, -5.0, -9.0])
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1.0
    expected = 0.0
    for channel in range(3):
        mean, scale = params[0, 1 + channel], torch.exp(params[0, 4 + channel].clamp(min=-7.0))
        edges = torch.sigmoid((levels[:-1] + 1.0 / 255.0 - mean) / scale)
        shares = torch.diff(edges, prepend=edges.new_zeros(1), append=edges.new_ones(1))
        expected -= float(torch.xlogy(shares, shares).sum()) / math.log(2.0)
    x = torch.full((1, 3), levels[100], dtype=torch.float64)
    assert logistic_mixture.entropy(x, params).item() == pytest.approx(expected, abs=1e-9)


def test_entropy_is_the_expected_code_length():
    """Over many draws, untruncated, the mean of the entropies and of the code lengths agree."""
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(30, generator=generator, dtype=torch.float64)
    noise = logistic_mixture.noise(generator, 200, 200, 3, truncation=30.0)
    params = params.expand(200, 200, -1)
    x = logistic_mixture.sample(params, noise)
    entropy = logistic_mixture.entropy(x, params).mean()
    length = -logistic_mixture.log_prob(x, params).mean() / math.log(2.0)
    assert float(entropy) == pytest.approx(float(length), abs=0.15)  # four standard errors


def test_compiled_entropy_equals_the_plain_one():
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(4, 50, 100, generator=generator) * 2.0
    levels = torch.randint(0, 256, (4, 50, 3), generator=generator)
    levels[0, :, 0], levels[1, :, 1] = 0, 255
    x = levels / 127.5 - 1.0
    expected = logistic_mixture.entropy(x.double(), params.double())
    assert (compiled.entropy(x, params) - expected).abs().max() < 1e-3


@pytest.fixture(scope="module")
def frame():
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(1, 1, 64, 64)
    mask[..., 40:44, 24:32] = 0.0
    return logistic_mixture.quantise(torch.rand(1, 3, 64, 64, generator=generator) * 2.0 - 1.0), mask


def test_the_method_fills_with_and_without_the_kernel(frame):
    assert compiled.code.make()
    image, mask = frame
    last = [list(CSIMethod(compiled=way).complete(image, mask, (0, 1)))[-1] for way in (True, False)]
    same = (last[0].images - last[1].images).abs() < 1e-6
    assert same[..., 40:44, 24:32].double().mean() > 0.9
    assert last[0].info["bits_per_dim"] == pytest.approx(last[1].info["bits_per_dim"], abs=0.2)
    for step in last:
        view = step.views["Uncertainty"]
        assert view.shape == (2, 3, 64, 64)
        assert -1.0 <= view.min() <= view.max() <= 1.0
        assert all(0.0 < bits < 24.0 for bits in step.info["entropy_bits"])


def test_a_method_sample_is_free_of_its_batch(frame):
    assert compiled.code.make()
    image, mask = frame
    method = CSIMethod()
    *_, together = method.complete(image, mask, (7, 8, 9, 10, 11))
    *_, alone = method.complete(image, mask, (9,))
    assert torch.equal(together.images[2:3], alone.images)
    assert together.info["bits_per_dim"][2] == pytest.approx(alone.info["bits_per_dim"][0], abs=1e-12)


def test_guidance_draws_pixels_to_the_decoders_picture_and_none_is_the_papers(frame):
    assert compiled.code.make()
    image, mask = frame
    method, hole = CSIMethod(), mask[0, 0] < 0.5
    z = method.latents(image, mask, (7,), {}, 1.0)
    context = method.observe(image, mask)
    maps = method.paper.decode(z, context)
    towards = beyond.guidance(method.model, image, mask, maps, 1.0).towards
    apart = []
    for guidance in (0.0, 10.0, 100.0):
        *_, (images, _, _) = method.fill(image, mask, z, (7,), guidance=guidance)
        apart.append(float((images - towards)[:, :, hole].abs().mean()))
        assert torch.equal(images * mask, image * mask)
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 0.02
    biases = method.paper.conditions(context, maps, 1)
    noise = frozen_noise(method.model, (7,), 64, 64, DEFAULT_TRUNCATION)
    *_, (plain, _) = Fill(method.paper.stream, context.x, context.mask, biases, noise)
    *_, (images, _, _) = method.fill(image, mask, z, (7,), guidance=0.0)
    assert torch.equal(images[:, :, hole], plain[:, :, hole].to(images.dtype))


def test_the_guide_meets_the_photo_at_the_edge_and_sees_nothing_of_the_hole(frame):
    image, mask = frame
    method = CSIMethod()
    maps = method.paper.decode(method.latents(image, mask, (0,), {}, 1.0), method.observe(image, mask))
    towards = beyond.guidance(method.model, image, mask, maps, 1.0).towards
    other = beyond.guidance(method.model, torch.where(mask > 0.5, image, -image), mask, maps, 1.0).towards
    assert torch.equal(towards, other)
    rows, columns = (mask[0, 0] < 0.5).nonzero().unbind(1)
    above = rows == rows.min()
    plain = method.model.picture(maps)
    edge = image[0, :, rows[above] - 1, columns[above]]
    steps = [(drawn[0, :, rows[above], columns[above]] - edge).abs().mean() for drawn in (towards, plain)]
    assert steps[0] < steps[1]


def test_torch_draws_until_the_kernel_is_ready(frame, monkeypatch):
    monkeypatch.setattr(compiled.code, "ready", lambda: False)
    monkeypatch.setattr("csi_demo.methods.csi.paper.SharedFill", None)
    *_, last = CSIMethod().complete(*frame, (0,))
    assert last.progress == 1.0


@pytest.mark.slow
def test_one_process_at_a_time_compiles():
    done = threading.Event()
    thread = threading.Thread(target=lambda: compiled.code.make() and done.set(), daemon=True)
    with machine_code.alone():
        thread.start()
        assert not done.wait(0.5)
    assert done.wait(60.0)


FILL_AND_LIST = """
import sys
from pathlib import Path
import torch
from csi_demo.sampling import compiled
from csi_demo.methods.csi import CSIMethod

found = lambda: sorted(Path(sys.argv[1]).rglob("*.nbc"))
assert compiled.code.make()
before = found()
method, frame = CSIMethod(), torch.load(sys.argv[2])
list(method.complete(*frame, (0, 1)))
method.true_bits(*frame)
assert before and found() == before
"""


@pytest.mark.slow
def test_a_fill_needs_nothing_but_what_was_compiled_alone(frame, tmp_path: Path):
    torch.save(frame, tmp_path / "frame.pt")
    words = [sys.executable, "-c", FILL_AND_LIST, str(tmp_path), str(tmp_path / "frame.pt")]
    subprocess.run(words, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, cwd=ROOT, check=True, timeout=300)


@pytest.mark.slow
def test_the_streams_of_the_process_stay_its_own_while_the_kernel_is_made_ready(tmp_path: Path):
    (tmp_path / "colorama.py").write_text(
        "import sys\n__version__ = '0.4.6'\n"
        "class Fore: RED = GREEN = BLUE = YELLOW = CYAN = MAGENTA = BLACK = WHITE = RESET = ''\n"
        "class Style: BRIGHT = RESET_ALL = DIM = NORMAL = ''\nBack = Fore\n"
        "def swap(*_): sys.stderr = sys.stdout\ninit = reinit = deinit = swap\n"
    )
    script = "import sys; from csi_demo.sampling.compiled import code; own = sys.stderr\n"
    script += "assert code.make() and sys.stderr is own"
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}
    environment.pop("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", None)
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, check=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("module", [compiled, gated_compiled])
def test_a_process_that_ends_while_a_kernel_is_read_ends_well(module: ModuleType):
    assert module.code.make()  # so that it lies on the disk
    script = f"from {module.__name__} import code; code.prepare().join(0.5)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_kernel_that_cannot_be_compiled_is_no_error(monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(compiled, "sample_compiled", fail)
    assert not compiled.code.make()
    assert "more slowly" in caplog.text


ENDING = """
import os, signal, sys, threading, time
from csi_demo.sampling import machine_code

def compiles(dtype):
    while True:
        started.set()
        try:
            sum(range(1000))
        except SystemExit:
            if not swallowed.is_set():
                swallowed.set()
                continue
            if "broken" in sys.argv:
                raise RuntimeError("no compiled object yet")
            raise

started, swallowed = threading.Event(), threading.Event()
if "swallows" not in sys.argv:
    swallowed.set()
machine_code.EXIT_PATIENCE = 60.0 if "interrupted" in sys.argv else 0.2
machine_code.MachineCode("a kernel", "kernel", compiles).prepare()
started.wait()
if "interrupted" in sys.argv:
    ctrl_c = lambda: time.sleep(1.0) or os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=ctrl_c, daemon=True).start()
sys.exit(3)
"""


@pytest.mark.parametrize("how", ["plain", "swallows", "broken", "interrupted"])
def test_a_process_that_ends_while_code_is_compiled_ends_with_its_status(how: str, tmp_path: Path) -> None:
    """The case: `methods --json` with nothing compiled yet ended by SIGSEGV, or hung."""
    ended = subprocess.run(
        [sys.executable, "-c", ENDING, how],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr
    assert "ignored" not in ended.stderr
