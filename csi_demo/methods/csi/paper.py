"""CSI as its paper has it, one photo and hole at a time: infer latents, decode them to maps, draw the hole's pixels.

Symbols are the paper's: x the picture, m the mask (1 = observed), z the latents, r what the reverse stream says of the
context, s the decoder's maps. What this project adds stands in `beyond.py`, but for one thing: the shipped decoder sees
the photo beside z (`CSI.see`); with ``sees=false`` it is the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models import logistic_mixture
from ...models.csi import CSI, Posterior
from ...models.logistic_mixture import Guide
from ...sampling.compiled import Box, Fill, SharedFill, Stream, code, entropy
from ...sampling.rows import sample_pixels

STREAMS = ("forward_stream", "reverse_stream", "head", "from_maps", "from_context")


@dataclass(frozen=True)
class Context:
    """What a photo and its hole determine, whatever the latents.

    x: (1, 3, H, W), quantised to 256 levels; mask: (1, 1, H, W); reverse: r of equation 3, (1, F, H, W), where there is
    a reverse stream; seen: what the decoder sees of the photo, see `CSI.see`; box: what the kernel computes; constant:
    U_l * r inside it, see `Stream.constant`.
    """

    x: Tensor
    mask: Tensor
    reverse: Tensor | None
    seen: list[Tensor] | None
    box: Box
    constant: Tensor

    @property
    def hole(self) -> Tensor:
        """(H, W), true = hole."""
        return self.mask[0, 0] < 0.5


@dataclass(frozen=True)
class Prediction:
    """The distributions of the P hole pixels and what they became. x: (n, P, 3); params: (n, P, 10 K); hole: (H, W)."""

    x: Tensor
    params: Tensor
    hole: Tensor

    def bits_per_dim(self) -> Tensor:
        """-log2 p per hole pixel and channel of every picture: (n,). Equation 4, in bits."""
        log_prob = logistic_mixture.log_prob(self.x.double(), self.params.double())
        return -log_prob.mean(1) / (3.0 * math.log(2.0))

    def entropy(self) -> Tensor:
        """Bits of uncertainty about each pixel, 0 where it is observed: (n, H, W). See `logistic_mixture.entropy`."""
        result, x, params = torch.zeros(len(self.x), *self.hole.shape), self.x.float(), self.params.float()
        if code.ready():
            result[:, self.hole] = entropy(x, params).float()
        else:  # in parts: every pixel takes 256 levels of every component
            parts = zip(x.split(64, 1), params.split(64, 1), strict=True)
            result[:, self.hole] = torch.cat([logistic_mixture.entropy(*part).float() for part in parts], 1)
        return result


class PaperCSI:
    """A CSI network at work, whichever parts it has.

    precision: of what torch runs; where torch draws the pixels, float64 keeps a sample free of the batch it is drawn
    in. compiled: whether the kernel draws them, in float32, as soon as it is ready.
    """

    def __init__(self, model: CSI, precision: torch.dtype = torch.float64, compiled: bool = True):
        self.model, self.precision, self.compiled = to_precision(model, precision), precision, compiled
        self.stream = Stream(model)

    @property
    def uses_kernel(self) -> bool:
        """Whether the kernel draws now; the first who asks waits a moment for it."""
        return self.compiled and code.ready()

    @torch.inference_mode()
    def infer(self, images: Tensor, masks: Tensor) -> Posterior:
        """q(z | x * m, m) of pictures (n, 3, H, W) and masks (n, 1, H, W), as equation 1 trains it.

        The encoder's fill of the hole is the same noise for every picture and seed.
        """
        noise = torch.rand(images[:1].shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
        return self.model.encode(images, masks, noise.expand_as(images))

    @torch.inference_mode()
    def observe(self, image: Tensor, mask: Tensor) -> Context:
        """What a photo (1, 3, H, W) and its hole (1, 1, H, W) determine: r of equation 3, and what the decoder sees."""
        config = self.model.config
        x, masks = logistic_mixture.quantise(image.to(self.precision)), mask.to(self.precision)
        reverse = self.model.context_features(x, masks) if config.reverse_stream else None
        seen = self.model.see(image.float(), mask.float()) if config.latent_dim else None
        box = Box.around(config.blocks, mask[0, 0].numpy() < 0.5)
        return Context(x, masks, reverse, seen, box, self.stream.constant(masks, reverse, box))

    @torch.inference_mode()
    def decode(self, z: Tensor, context: Context) -> Tensor | None:
        """s of equation 3, maps (n, M, H, W) of latents (n, z); None without latents. Every row is decoded alone, so
        that a sample does not depend on the batch it was drawn in."""
        if not self.model.config.latent_dim:
            return None
        return torch.cat([self.model.decode(row[None], context.seen) for row in z])

    @torch.inference_mode()
    def draw(
        self, context: Context, maps: Tensor | None, noise: Tensor, guide: Guide | None = None
    ) -> Iterator[tuple[Tensor, float, Prediction | None]]:
        """Draws the hole once for every sample, pixel by pixel in raster order from p(x_i | x_<i, x * m, z).

        noise: (n, H, W, K + 3), see `sampling.base.frozen_noise`; guide: a picture that every pixel is drawn towards.
        Yields pictures (n, 3, H, W), whose observed pixels are still to be put back, progress and, on the last step,
        what the model itself, unguided, predicted for the pixels drawn.
        """
        count, hole = len(noise), context.hole
        if self.uses_kernel:
            biases, threads = self.conditions(context, maps, count), torch.get_num_threads()
            shared = SharedFill(self.stream, context.x, context.mask, biases, noise, threads, guide)
            for drawn, progress in shared:
                last = Prediction(drawn[:, :, hole].mT, shared.params, hole) if progress == 1.0 else None
                yield drawn, progress, last
            return
        x, masks = (tensor.expand(count, -1, -1, -1) for tensor in (context.x, context.mask))
        conditions, frozen = self.biases(context, maps, count), noise.to(self.precision)
        for drawn, progress in sample_pixels(self.model, x, masks, conditions, frozen, guide):
            yield drawn, progress, self._predict(drawn, conditions, hole) if progress == 1.0 else None

    @torch.inference_mode()
    def predict(self, context: Context, maps: Tensor | None) -> Prediction:
        """What the model says of the hole's true pixels, for one row of latents (equation 4)."""
        if not self.uses_kernel:
            return self._predict(context.x, self.biases(context, maps, 1), context.hole)
        fill = Fill(self.stream, context.x, context.mask, self.conditions(context, maps, 1), None)
        list(fill)
        return Prediction(context.x[:, :, context.hole].mT, fill.params, context.hole)

    def conditions(self, context: Context, maps: Tensor | None, count: int) -> Tensor:
        """U_l * r + V_l * s of equation 3 as the kernel takes it, for so many samples; see `Stream.biases_of_maps`."""
        return self.stream.biases_of_maps(context.constant, maps, count, context.box)

    def biases(self, context: Context, maps: Tensor | None, count: int) -> Tensor | None:
        """The same for torch, as `CSI.biases` has it."""
        masks = context.mask.expand(count, -1, -1, -1)
        reverse = context.reverse.expand(count, -1, -1, -1) if context.reverse is not None else None
        return self.model.biases(maps.to(self.precision) if maps is not None else None, masks, reverse)

    def _predict(self, x: Tensor, biases: Tensor | None, hole: Tensor) -> Prediction:
        return Prediction(x[:, :, hole].mT, self.model.logits(x, biases)[:, :, hole].mT, hole)


def to_precision(model: CSI, dtype: torch.dtype) -> CSI:
    """Moves what draws pixels (streams, head and their conditioning, not encoder and decoder) to a dtype, in place."""
    for name in STREAMS:
        if hasattr(model, name):
            getattr(model, name).to(dtype)
    return model
