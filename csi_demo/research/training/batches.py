"""What batches are made of: pictures, masks and numbers drawn at random where the training runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def draw_frames(frames: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """So many of the pictures (N, 3, H, W), drawn with replacement, half of them mirrored."""
    picked = frames[torch.from_numpy(rng.integers(0, len(frames), count))]
    flip = torch.from_numpy(rng.random(count) < 0.5).to(frames.device)
    return torch.where(flip[:, None, None, None], picked.flip(3), picked)


def draw_rows(frames: Tensor, count: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """So many of the pictures (N, 3, H, W), with replacement, half of them mirrored, and their rows (count,).

    Everything is drawn on the generator's device, which is the pictures' own."""
    rows = torch.randint(len(frames), (count,), generator=draw, device=frames.device)
    return mirrored(frames[rows], draw), rows


def mirrored(frames: Tensor, draw: torch.Generator) -> Tensor:
    """Pictures (B, 3, H, W), half of them mirrored."""
    flip = torch.rand(len(frames), generator=draw, device=frames.device) < 0.5
    return torch.where(flip[:, None, None, None], frames.flip(3), frames)


def generator(rng: np.random.Generator, device: torch.device) -> torch.Generator:
    """A generator of the device's own, seeded from `rng`: what is drawn there is the same for the same `rng`."""
    return torch.Generator(device).manual_seed(int(rng.integers(2**62)))


def any_of(chances: Tensor, generator: torch.Generator) -> Tensor:
    """One column of each row (B, N) at random: (B, 1). Of equal chance where the value is 1, of hardly any where it is
    close to 0. As `torch.multinomial` for such rows, which would make an accelerator wait."""
    return (chances * torch.rand(chances.shape, generator=generator, device=chances.device)).argmax(1, keepdim=True)


class MaskPool:
    """Training masks made once and drawn from where the training runs; made one by one they would hold it up."""

    def __init__(self, maker: Callable[[np.random.Generator], np.ndarray], count: int = 8192, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.masks = torch.from_numpy(np.stack([maker(rng) for _ in range(count)]))[:, None]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """So many masks (count, 1, H, W), float, 1 = observed, on the generator's device."""
        if self.masks.device != generator.device:
            self.masks = self.masks.to(generator.device)
        rows = torch.randint(len(self.masks), (count,), generator=generator, device=generator.device)
        return self.masks[rows].float()


SELDOM = 0.05  # how often an attribute is known of faces of whom few are


def some_unknown(shape: tuple[int, int], whole: float, each: float, draw: torch.Generator, few: float = 0.0) -> Tensor:
    """Flags (B, A), 1 = known. None is of a face's with the chance `whole`, any one unknown with the chance `each`, but
    for a share `few` of the faces, of whom one in twenty is known, as where somebody sets a slider or two."""
    chance = torch.full((shape[0], 1), each, device=draw.device)
    if few:
        seldom = torch.rand(shape[0], 1, generator=draw, device=draw.device) < few
        chance = chance.masked_fill(seldom, 1.0 - SELDOM)
    alone = torch.rand(shape, generator=draw, device=draw.device) >= chance
    together = torch.rand(shape[0], 1, generator=draw, device=draw.device) >= whole
    return (alone & together).float()
