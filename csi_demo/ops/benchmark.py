"""Speed of filling holes: by every method, and CSI's beside the plain way's and the machine's own limit."""

from __future__ import annotations

import copy
import itertools
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .. import device, methods
from ..complete import Finish, Request, Subject
from ..errors import CompletionError
from ..files import whole_file
from ..methods import Control, Method
from ..methods.csi import beyond
from ..methods.csi.method import DEFAULT_GUIDANCE, DEFAULT_SPREAD, CSIMethod
from ..methods.csi.paper import to_precision
from ..models import logistic_mixture
from ..models.csi import CSI, CSIConfig
from ..models.logistic_mixture import Guide
from ..photo.finding import find_faces
from ..photo.reading import open_photo
from ..pixels import to_tensor
from ..research.studies.tables import table
from ..sampling import compiled, gated_compiled
from ..sampling.base import frozen_noise
from ..sampling.compiled import SharedFill, regions
from ..sampling.rows import sample_pixels
from ..surroundings import shipped

HOLES = ((12, 8), (24, 14), (32, 32), (64, 64))  # columns x rows, in the middle of the frame
SAMPLES = (1, 4, 8)
POSITIONS = 51  # of a slider, from end to end
WHOLE_PIXELS = 3  # of the hole that the whole forward stream is run for; the rest is scaled up
PICTURE = shipped("examples") / "astronaut.png"
PHOTO, PORTRAIT, CLOSE_UP = PICTURE.with_suffix(".jpg"), (0, 0, 512, 512), (130, 10, 330, 210)  # and parts of it
COMPARED = ("mouth", "eyes", "center", "left")  # holes that every method fills
LARGE_SIDE = 3464  # of 12 megapixels
START_LIMIT = 120.0  # seconds that the page may take to answer before the measurement gives up


def bench(holes: Sequence[tuple[int, int]] = HOLES, samples: Sequence[int] = SAMPLES, repeats: int = 7) -> dict:
    """Every speed of CSI with the weights in use.

    Times are medians of `repeats`. Raises CompletionError where the kernel is not to be had.
    """
    began = time.perf_counter()
    if not (compiled.code.make() and gated_compiled.code.make()):
        raise CompletionError("the fast path is not to be had on this machine: install numba")
    kernel = time.perf_counter() - began
    return {
        "machine": machine(),
        "page_answers_seconds": page_answers(),
        "kernel_ready_seconds": kernel,
        "large_photo": {"portrait": large_photo(PORTRAIT, repeats), "close-up": large_photo(CLOSE_UP, repeats)},
        "methods_ms": {hole: by_method(hole, repeats) for hole in COMPARED},
        "beside_a_busy_loop_ms": beside_a_busy_loop(repeats),
    } | _model(CSIMethod(), holes, samples, repeats)


def by_method(hole: str, repeats: int) -> dict[str, float]:
    """Milliseconds that each method takes to fill a hole of one photo whose face is found, refined and pasted, by new
    seeds."""
    subject, seeds, found = Subject.of(open_photo(PHOTO), hole), itertools.count(), {}
    for name in methods.available_methods():
        method = methods.load_method(name)

        def fill(method: Method = method) -> None:
            request = Request(subject, method, (next(seeds),))
            for picture in request.last_step().pictures:
                request.finished(picture)

        found[name] = 1e3 * _seconds(fill, repeats)
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was; the model's name only where the system tells it."""
    names = [line for line in _cpu_info() if line.startswith("model name")]
    return {
        "processor": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cpu_info() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.is_file() else []


def _seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median time of one call, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def multiply_adds(config: CSIConfig, hole: np.ndarray) -> int:
    """Multiply-adds of the forward stream for one sample of a hole (H, W), true = hole. Every convolution once wherever
    a hole pixel depends on it, the head at the hole's pixels."""
    table, last, filters = regions(config.blocks, hole), int(np.flatnonzero(hole.any(1))[-1]), config.filters
    areas = (last + 1 - table[..., 0]) * (table[..., 2] - table[..., 1])  # (blocks, 6)
    square = filters * filters
    vertical_input, _, _, horizontal_input, _, _ = areas[0]
    first = vertical_input * 24 * filters + horizontal_input * 8 * filters
    costs = np.array(
        [0, 6 * square, 12 * square, 0, 5 * square, 8 * square]
    )  # of a position, in the order of `regions`
    head = int(hole.sum()) * filters * logistic_mixture.channels(config.mixtures)
    return int((areas * costs).sum()) + int(first) + head


def matrix_product(config: CSIConfig, repeats: int) -> float:
    """Multiply-adds a second that one thread sustains in the largest float32 product of a row: the limit."""
    filters, rounds = config.filters, 100
    x, weight = torch.randn(config.image_size, 6 * filters), torch.randn(6 * filters, 2 * filters)
    out = torch.empty(config.image_size, 2 * filters)

    def work() -> None:
        for _ in range(rounds):
            torch.mm(x, weight, out=out)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return rounds * x.numel() * weight.shape[1] / _seconds(work, repeats)
    finally:
        torch.set_num_threads(threads)


def page_answers() -> float:
    """Seconds from the start of the page's process to its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "csi_demo.ui.launch"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - began < START_LIMIT and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=START_LIMIT):
                    return time.perf_counter() - began
            except OSError:
                time.sleep(0.05)
        raise CompletionError(f"the page did not answer within {START_LIMIT:g} s")
    finally:
        process.terminate()
        process.wait()


def large_photo(box: tuple[int, int, int, int], repeats: int) -> dict[str, float]:
    """Milliseconds around a fill of a photo of 12 megapixels. find_ms is for finding the face in a part of it;
    finish_ms is for what else is done around a method's search for a mouth, from cutting out the frame to pasting what
    was refined."""
    photo = open_photo(PHOTO).resize((LARGE_SIDE, LARGE_SIDE), Image.Resampling.BICUBIC, box=box)
    placement = find_faces(photo)[0]

    def finish() -> None:
        subject = Subject.of(photo, "mouth", placement=placement)
        subject.finished(subject.frame, Finish())

    return {
        "find_ms": 1000.0 * _seconds(lambda: find_faces(photo), repeats),
        "finish_ms": 1000.0 * _seconds(finish, repeats),
    }


def beside_a_busy_loop(repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of what a visitor waits for while another process keeps a core busy. With one thread, with all, and
    with as many as `device.share_threads` leaves."""
    photo = open_photo(PHOTO).resize((LARGE_SIDE, LARGE_SIDE), Image.Resampling.BICUBIC)
    request = Request(Subject.of(photo, "mouth"), methods.load_method("csi"))
    (fill,) = request.last_step().pictures
    works: dict[str, Callable[[], Any]] = {
        "find": lambda: find_faces(photo),
        "fill": request.last_step,
        "finish": lambda: request.finished(fill),
    }
    threads, most = torch.get_num_threads(), device._most
    found: dict[str, dict[str, float]] = {name: {} for name in works}
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            for kind, number, shared in (("one", 1, 1), ("all", threads, 1), ("shared", threads, threads)):
                torch.set_num_threads(number)
                device._most = shared  # 1: nothing is shared
                for name, work in works.items():
                    found[name][kind] = 1000.0 * _seconds(work, repeats)
        finally:
            busy.kill()
            torch.set_num_threads(threads)
            device._most = most
    return found


def _model(method: CSIMethod, holes: Sequence[tuple[int, int]], samples: Sequence[int], repeats: int) -> dict[str, Any]:
    config = method.config
    rate = matrix_product(config, repeats)
    whole = to_precision(copy.deepcopy(method.model), torch.float32)
    rows: list[dict[str, Any]] = []
    for columns, height in holes:
        for count in samples:
            row = _hole(method, whole, columns, height, count, repeats)
            threads = min(count, torch.get_num_threads())
            row["limit_us_per_pixel"] = 1e6 * row["multiply_adds_per_pixel"] / (rate * threads)
            row["times_the_limit"] = row["us_per_pixel"] / row["limit_us_per_pixel"]
            one = next((other for other in rows if other["hole"] == row["hole"] and other["samples"] == 1), row)
            row["times_one_sample"] = row["slider_ms"] / one["slider_ms"]
            rows.append(row)
    return {
        "filters": config.filters,
        "blocks": config.blocks,
        "multiply_adds_per_second_and_thread": rate,
        "holes": rows,
    }


@torch.inference_mode()
def _hole(method: CSIMethod, whole: CSI, columns: int, height: int, count: int, repeats: int) -> dict[str, Any]:
    """Figures of one hole, in the middle of a face, and one number of samples."""
    size = method.config.image_size
    image = logistic_mixture.quantise(functional.interpolate(to_tensor(open_photo(PICTURE)), size, mode="area"))
    mask = torch.ones(1, 1, size, size)
    top, left = (size - height) // 2, (size - columns) // 2
    mask[..., top : top + height, left : left + columns] = 0.0
    pixels, seeds = columns * height, tuple(range(count))

    paper = method.paper
    observe = _seconds(lambda: (paper.observe(image, mask), paper.infer(image, mask)), max(1, repeats // 3))
    context, z = method.observe(image, mask), method.latents(image, mask, seeds, {}, 1.0)
    x, masks = (tensor.float().expand(count, -1, -1, -1) for tensor in (context.x, context.mask))
    threads = torch.get_num_threads()
    noise = frozen_noise(method.model, seeds, size, size)

    def conditioning() -> tuple[Tensor, Guide]:
        maps = paper.decode(z, context)
        assert maps is not None
        guide = beyond.guidance(method.model, image, mask, maps, DEFAULT_GUIDANCE)
        return paper.conditions(context, maps, count), guide

    biases, guide = conditioning()

    fast = _seconds(lambda: list(SharedFill(paper.stream, x[:1], masks[:1], biases, noise, threads, guide)), repeats)
    conditions = _seconds(conditioning, repeats)
    plain_biases = paper.biases(context, paper.decode(z, context), count)
    plain_biases = plain_biases.float() if plain_biases is not None else None

    def a_whole_pixel() -> None:
        params = whole.logits(x, plain_biases)[:, :, top, left]
        logistic_mixture.sample(params, noise[:, top, left].float())

    plain = _seconds(a_whole_pixel, WHOLE_PIXELS)
    with_torch = _seconds(lambda: list(sample_pixels(whole, x, masks, plain_biases, noise.float())), 1)

    control = method.controls[0]
    values = _slider_values(control)

    seeded = _seconds(lambda: method.draw(image, mask, seeds, DEFAULT_SPREAD), repeats)

    def move() -> Tensor:
        *_, last = method.complete(image, mask, seeds, {control.name: next(values)})
        return last.images

    slider = _seconds(move, repeats)
    return {
        "hole": f"{columns}x{height}",
        "samples": count,
        "us_per_pixel": 1e6 * fast / pixels,
        "multiply_adds_per_pixel": count * multiply_adds(method.config, context.hole.numpy()) / pixels,
        "fill_ms": 1e3 * fast,
        "conditions_ms": 1e3 * conditions,
        "slider_ms": 1e3 * slider,
        "new_hole_ms": 1e3 * observe,
        "new_seeds_ms": 1e3 * seeded,
        "whole_stream_seconds": plain * pixels,
        "whole_stream_measured_pixels": WHOLE_PIXELS,
        "times_faster_than_whole_stream": plain * pixels / fast,
        "times_faster_than_torch": with_torch / fast,
    }


def _slider_values(control: Control) -> Iterator[float]:
    """Positions that a slider is dragged over, from end to end, no two in a row the same."""
    for step in itertools.count():
        yield control.minimum + step % POSITIONS / (POSITIONS - 1) * (control.maximum - control.minimum)


def plot(figures: dict[str, Any], file: Path) -> None:
    """Microseconds a pixel over the hole's size, for each number of samples, beside the limit, as a PNG."""
    from matplotlib.figure import Figure

    sheet, rows = Figure(figsize=(6.0, 3.6), layout="constrained"), figures["holes"]
    axis = sheet.subplots()
    for index, count in enumerate(dict.fromkeys(row["samples"] for row in rows)):
        chosen = [row for row in rows if row["samples"] == count]
        label = f"{count} sample{'s' if count > 1 else ''}"
        axis.plot([row["hole"] for row in chosen], [row["us_per_pixel"] for row in chosen], "o-", label=label)
        limits = [row["limit_us_per_pixel"] for row in chosen]
        axis.plot([row["hole"] for row in chosen], limits, color=f"C{index}", linestyle=":", linewidth=1)
    axis.set(xlabel="hole", yscale="log", ylabel="µs a pixel (dotted: its multiply-adds at matrix speed)")
    axis.legend()
    with whole_file(file) as stored:
        sheet.savefig(stored, dpi=150, format="png")


def markdown(figures: dict[str, Any]) -> str:
    """The figures as Markdown: what was measured where, and a table."""
    said = figures["machine"]
    lines = [f"{said['processor']}, {said['cores']} cores, {said['torch_threads']} threads, torch {said['torch']}."]
    if figures["page_answers_seconds"] is not None:
        lines.append(f"From the start of the process until the page answers: {figures['page_answers_seconds']:.1f} s.")
    found = "; ".join(
        f"of a {what}, {took['find_ms']:.0f} and {took['finish_ms']:.0f} ms"
        for what, took in figures["large_photo"].items()
    )
    for hole, taken in figures["methods_ms"].items():
        each = ", ".join(f"{name} {value:.0f}" for name, value in taken.items())
        lines.append(f"Every method's fill of {hole}, refined, {sum(taken.values()):.0f} ms: {each}.")
    lines.append(f"A face found in 12 megapixels, and its mouth's fill cut out, refined and pasted: {found}.")
    for name, took in figures.get("beside_a_busy_loop_ms", {}).items():
        each = ", ".join(f"{kind} {value:.0f}" for kind, value in took.items())
        lines.append(f"Beside a busy loop, threads of {name}: {each} ms.")
    rows = [
        {
            "hole": row["hole"],
            "samples": row["samples"],
            "µs a pixel": f"{row['us_per_pixel']:.1f}",
            "of the limit": f"{row['times_the_limit']:.1f}x",
            "slider to picture, ms": f"{row['slider_ms']:.0f}",
            "of one sample": f"{row['times_one_sample']:.2f}x",
            "before the first, ms": f"{row['new_hole_ms'] + row['new_seeds_ms']:.0f}",
            "faster than the whole stream": f"{row['times_faster_than_whole_stream']:.0f}x",
            "faster than torch": f"{row['times_faster_than_torch']:.1f}x",
        }
        for row in figures["holes"]
    ]
    return "\n".join([*lines, "", table(rows, tuple(rows[0]))])
