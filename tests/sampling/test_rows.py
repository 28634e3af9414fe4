from __future__ import annotations

import numpy as np
import pytest
import torch

from csi_demo import masks
from csi_demo.methods.csi.paper import to_precision
from csi_demo.models.logistic_mixture import Guide
from csi_demo.pixels import masks_to_tensor
from csi_demo.sampling.base import frozen_noise
from csi_demo.sampling.reference import sample_reference
from csi_demo.sampling.rows import sample_pixels

from ..conftest import random_images, random_model

SIZE = 16


def hole(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.ones((SIZE, SIZE), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = False
    return mask


MASKS = {
    "rectangle": hole((4, 5, 11, 12)),
    "one pixel": hole((7, 7, 8, 8)),
    "components": hole((1, 2, 4, 5), (9, 3, 12, 6), (6, 11, 14, 13)),
    "top left": hole((0, 0, 5, 4)),
    "bottom right": hole((10, 9, 16, 16)),
    "all borders": ~hole((3, 3, 13, 13)),
    "everything": hole((0, 0, 16, 16)),
    "strokes": masks.random_strokes(np.random.default_rng(2), SIZE),
    "random": masks.random_rectangle(np.random.default_rng(5), SIZE),
}


def draw(sampler, model, mask, seeds=(0, 1, 2), seed=0, deviation=None):
    count = len(seeds)
    x = random_images(1, seed=seed).expand(count, -1, -1, -1)
    z = torch.randn((count, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    maps = model.decode(z) if model.config.latent_dim else None
    context = model.context_features(x, mask) if model.config.reverse_stream else None
    noise = frozen_noise(model, seeds, SIZE, SIZE)
    guide = deviation and Guide(random_images(count, seed=seed + 1), deviation)
    with torch.inference_mode():
        steps = [
            (picture.clone(), progress)
            for picture, progress in sampler(model, x, mask, model.biases(maps, mask, context), noise, guide)
        ]
    return x, steps


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(("weights", "deviation"), [(0, None), (1, None), (1, 0.1)])
def test_fast_path_equals_the_reference(name, weights, deviation):
    model = random_model(weights)
    mask = masks_to_tensor([MASKS[name]] * 3).double()
    x, reference = draw(sample_reference, model, mask, seed=weights, deviation=deviation)
    _, fast = draw(sample_pixels, model, mask, seed=weights, deviation=deviation)
    assert torch.equal(reference[-1][0], fast[-1][0])
    assert torch.equal(torch.where(mask > 0.5, x, fast[-1][0]), fast[-1][0]), "an observed pixel changed"
    assert [p for _, p in reference] == [p for _, p in fast]


@pytest.mark.parametrize("switches", [{"latent_dim": 0}, {"reverse_stream": False}, {"blocks": 1}, {"filters": 5}])
def test_fast_path_equals_the_reference_for_every_switch(switches):
    model = random_model(3, **switches)
    mask = masks_to_tensor([MASKS["components"]] * 3).double()
    assert torch.equal(draw(sample_reference, model, mask)[1][-1][0], draw(sample_pixels, model, mask)[1][-1][0])


def test_samples_with_masks_of_their_own():
    model = random_model(4)
    mask = masks_to_tensor([MASKS["rectangle"], MASKS["strokes"], MASKS["bottom right"]]).double()
    assert torch.equal(draw(sample_reference, model, mask)[1][-1][0], draw(sample_pixels, model, mask)[1][-1][0])


def test_pixels_depend_on_seed_sample_and_position_alone():
    model = random_model(5)
    mask = masks_to_tensor([MASKS["rectangle"]])
    image = random_images(1)
    biases = model.biases(model.decode(torch.zeros(1, 4).double()), mask.double(), None)

    def fill(seeds, mask):
        count = len(seeds)
        noise = frozen_noise(model, seeds, SIZE, SIZE)
        tile = [tensor.double().expand(count, -1, -1, -1) for tensor in (image, mask, biases)]
        *_, (picture, _) = sample_pixels(model, *tile, noise)
        return picture

    together = fill((3, 1, 4, 1, 5, 9, 2, 6), mask)
    assert torch.equal(together[4:5], fill((5,), mask))
    assert torch.equal(together[1], together[3])
    assert not torch.equal(together[0], together[1])


def test_progress_grows_to_one_and_rows_are_final_once_shown():
    model = random_model(6)
    mask = masks_to_tensor([MASKS["components"]] * 3).double()
    _, steps = draw(sample_pixels, model, mask)
    shares = [progress for _, progress in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    rows = [row for row in range(SIZE) if not MASKS["components"][row].all()]
    for row, (picture, _) in zip(rows, steps, strict=True):
        assert torch.equal(picture[:, :, : row + 1], steps[-1][0][:, :, : row + 1])


def test_float32_agrees_with_float64_almost_everywhere():
    mask = masks_to_tensor([MASKS["rectangle"]] * 3)
    exact = random_model(7)
    rounded = to_precision(random_model(7), torch.float32)
    x = random_images(1).expand(3, -1, -1, -1)
    noise = frozen_noise(exact, (0, 1, 2), SIZE, SIZE)
    with torch.inference_mode():
        *_, (a, _) = sample_pixels(exact, x, mask.double(), None, noise)
        *_, (b, _) = sample_pixels(rounded, x.float(), mask, None, noise.float())
    assert ((a - b).abs() < 1e-6).double().mean() > 0.99
