"""Drawing pixels of a CSI, whatever parts it has: what a photo and its hole determine, what latents add, and the fill.

The shipped model draws so, and so do the small variants that the paper's claims are tested on: with or without latents,
with or without the reverse stream.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

from ...models import logistic_mixture
from ...models.chooser import Chooser
from ...models.csi import CSI, Posterior
from ...models.logistic_mixture import Guide
from ...sampling.compiled import Box, Fill, SharedFill, Stream, code, entropy
from ...sampling.rows import sample_pixels
from ..base import keep_observed
from ..fitting import calmed, each, lifted
from .places import REGIONS

CRISPER = 0.5  # what the decoder's picture gains of its own detail; the product with the streams takes some away
AGAIN = 0.1  # what it gains more for every turn of `Drawing.settle`, which takes some away, too
FIT_STEPS, FIT_RATE, FIT_PRIOR = 80, 0.1, 0.005  # see `Drawing.fit`; steps times the square of the hole's share
TURNS = 4  # for half of the frame, see `Drawing.settle`; times the fourth power of the hole's share of a half
FEW_STEPS, LEAST_SEEN = 8, 0.25  # of a fit before turns; of the face's box, for turns to lead anywhere
FRONTAL = -0.6, 0.9  # of the head's turn, a latent, for a half of a face to tell of the other: the half that is seen
# turned away from the camera (negative), or towards it
STRAY = 1.5  # share of a draw's deviation that is given back to it where its first turn saw a mirror image
GRID = 1024.0  # settled latents are multiples of its inverse: what rounding errors grow to on the way is gone
STREAMS = ("forward_stream", "reverse_stream", "head", "from_maps", "from_context")


def to_precision(model: CSI, dtype: torch.dtype) -> CSI:
    """Moves what sampling runs (streams, head and their conditioning, not encoder and decoder) to a dtype, in place."""
    for name in STREAMS:
        if hasattr(model, name):
            getattr(model, name).to(dtype)
    return model


@dataclass(frozen=True)
class Known:
    """What a photo and its hole determine; x and mask are (1, 3, H, W) and (1, 1, H, W)."""

    x: Tensor
    mask: Tensor
    context: Tensor | None  # (1, F, H, W), where there is a reverse stream
    box: Box
    constant: Tensor  # see `Stream.constant`

    @property
    def hole(self) -> Tensor:
        """(H, W), true = hole."""
        return self.mask[0, 0] < 0.5


@dataclass(frozen=True)
class Predicted:
    """The distributions of the P hole pixels and what they became. x: (n, P, 3); params: (n, P, 10 K); hole: (H, W)."""

    x: Tensor
    params: Tensor
    hole: Tensor

    def bits_per_dim(self) -> Tensor:
        """-log2 p per hole pixel and channel of every picture: (n,)."""
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


class Drawing:
    """precision: of what torch runs; where torch draws the pixels, float64 keeps a sample free of the batch it is drawn
    in. compiled: whether the kernel draws them, in float32, as soon as it is ready."""

    def __init__(self, model: CSI, precision: torch.dtype = torch.float64, compiled: bool = True):
        self.model, self.precision, self.compiled = to_precision(model, precision), precision, compiled
        self.stream = Stream(model)

    @property
    def uses_kernel(self) -> bool:
        """Whether the kernel draws now; the first who asks waits a moment for it."""
        return self.compiled and code.ready()

    @torch.inference_mode()
    def observe(self, image: Tensor, mask: Tensor) -> Known:
        """What a photo (1, 3, H, W) and its hole (1, 1, H, W) determine."""
        config = self.model.config
        x, masks = logistic_mixture.quantise(image.to(self.precision)), mask.to(self.precision)
        context = self.model.context_features(x, masks) if config.reverse_stream else None
        box = Box.around(config.blocks, mask[0, 0].numpy() < 0.5)
        return Known(x, masks, context, box, self.stream.constant(masks, context, box))

    @torch.inference_mode()
    def infer(self, images: Tensor, masks: Tensor) -> Posterior:
        """q(z | x * m, m) of pictures (n, 3, H, W) and masks (n, 1, H, W), for a model with latents.

        The encoder's fill of the hole is the same for every picture and seed.
        """
        noise = torch.rand(images[:1].shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
        return self.model.encode(images, masks, noise.expand_as(images))

    @torch.inference_mode()
    def choose(self, image: Tensor, mask: Tensor, z: Tensor, chooser: Chooser) -> Tensor:
        """Of latents (n, z), drawn for a photo (1, 3, H, W) and its hole, those (1, z) whose picture, put into the
        photo, suits the face best.

        A normal posterior knows one kind of face for a context; some of its draws fit no face.
        """
        drawn = lifted(image, mask, self.model.picture(self.model.decode(z)))
        logits = chooser(keep_observed(image, mask, drawn), mask.expand(len(z), -1, -1, -1))
        return z[logits.sum(1).argmax()][None]

    def settle(self, image: Tensor, mask: Tensor, z: Tensor) -> Tensor:
        """Latents (1, z), drawn for a photo (1, 3, H, W) and its hole, at peace with what is seen of it.

        The encoder guesses the latents of a context at once, and the less there is to see, the more it misses: a cap,
        glasses, a colour of hair, where the background begins. A few steps of `fit` come first. Then the hole is filled
        with the picture of these latents, and the whole face's are inferred from that, again and again, as the VAEs
        complete (Ham et al. 2018): four times for half of a face, never for a mouth, where one look is enough and every
        turn makes the samples more alike, nor where hardly anything of the face is seen: turns lead to an average then.
        Where a face looks ahead, the first turn sees the photo's mirror image where there is one: faces, hair and what
        is behind are much the same on either side. What makes a draw differ from the likeliest is added to what that
        leads to.
        """
        turns, steps = turns_of(mask), round(FIT_STEPS * float(1.0 - mask.mean()) ** 2) if mask.any() else 0
        likeliest = self.infer(image, mask).mean if turns else z
        deviation = z - likeliest
        z = self.fit(image, mask, z, min(steps, FEW_STEPS) if turns else steps)
        for turn in range(turns):
            maps = self.maps(z)
            assert maps is not None
            drawn, share = lifted(image, mask, crispened(self._pictures(maps), CRISPER)), torch.zeros(1, 1)
            if turn == 0:
                drawn, share = mirrored(image, mask, drawn, frontal(self.model, mask, likeliest))
            z = self.infer(keep_observed(image, mask, drawn), torch.ones_like(mask)).mean + STRAY * share * deviation
        return (z * GRID).round() / GRID

    def fit(self, image: Tensor, mask: Tensor, z: Tensor, steps: int) -> Tensor:
        """Latents (1, z) near those given whose picture by the decoder is closer to what is seen of a photo, after so
        many steps down mean((picture - photo)^2) over the observed pixels + `FIT_PRIOR` mean((z - z_0)^2)."""
        with torch.inference_mode(False), torch.enable_grad():
            drawn, photo, seen = z.clone(), image.float().clone(), mask.float().clone()
            leaf = drawn.clone().requires_grad_()
            optimiser = torch.optim.Adam([leaf], FIT_RATE, betas=(0.9, 0.9))
            for _ in range(steps):
                error = ((self.model.rgb_head(self.model.decode(leaf)) - photo).square() * seen).sum()
                loss = error / (3.0 * seen.sum()).clamp_min(1.0) + FIT_PRIOR * (leaf - drawn).square().mean()
                (leaf.grad,) = torch.autograd.grad(loss, [leaf])
                optimiser.step()
            return leaf.detach()

    @torch.inference_mode()
    def maps(self, z: Tensor) -> Tensor | None:
        """The decoder's maps (n, M, H, W) of latents (n, z), None without latents; every row decoded alone, so that a
        sample does not depend on the batch it was drawn in."""
        return torch.cat([self.model.decode(row[None]) for row in z]) if self.model.config.latent_dim else None

    @torch.inference_mode()
    def guide(self, image: Tensor, mask: Tensor, maps: Tensor, guidance: float, calm: float | Tensor = 1.0) -> Guide:
        """The decoder's own pictures of the hole, made crisper, lifted to meet the photo's colours at its edge and
        `calmed` so far. guidance: 1 / the standard deviation of what is drawn around them."""
        crisper = CRISPER + AGAIN * turns_of(mask)
        fills = lifted(image, mask, crispened(self._pictures(maps), crisper))
        return Guide(calmed(image, mask, keep_observed(image, mask, fills), calm), 1.0 / guidance)

    def _pictures(self, maps: Tensor) -> Tensor:
        """The decoder's pictures (n, 3, H, W) of maps (n, M, H, W), every row drawn alone."""
        return torch.cat([self.model.rgb_head(own[None]) for own in maps])

    def conditions(self, known: Known, maps: Tensor | None, count: int) -> Tensor:
        """What the kernel adds for so many samples: biases as of `Stream.biases_of_maps`."""
        return self.stream.biases_of_maps(known.constant, maps, count, known.box)

    def biases(self, known: Known, maps: Tensor | None, count: int) -> Tensor | None:
        """The same for torch, as `CSI.biases` has it."""
        masks = known.mask.expand(count, -1, -1, -1)
        context = known.context.expand(count, -1, -1, -1) if known.context is not None else None
        return self.model.biases(maps.to(self.precision) if maps is not None else None, masks, context)

    @torch.inference_mode()
    def fill(
        self, known: Known, maps: Tensor | None, noise: Tensor, guide: Guide | None = None
    ) -> Iterator[tuple[Tensor, float, Predicted | None]]:
        """Draws the hole once for every sample; noise: (n, H, W, K + 3), see `sampling.base.frozen_noise`.

        Yields pictures (n, 3, H, W), whose observed pixels are still to be put back, progress and, on the last step,
        what the model itself, unguided, predicted for the pixels drawn.
        """
        count, hole = len(noise), known.hole
        if self.uses_kernel:
            biases, threads = self.conditions(known, maps, count), torch.get_num_threads()
            shared = SharedFill(self.stream, known.x, known.mask, biases, noise, threads, guide)
            for drawn, progress in shared:
                last = Predicted(drawn[:, :, hole].mT, shared.params, hole) if progress == 1.0 else None
                yield drawn, progress, last
            return
        x, masks = (tensor.expand(count, -1, -1, -1) for tensor in (known.x, known.mask))
        conditions, frozen = self.biases(known, maps, count), noise.to(self.precision)
        for drawn, progress in sample_pixels(self.model, x, masks, conditions, frozen, guide):
            yield drawn, progress, self._predicted(drawn, conditions, hole) if progress == 1.0 else None

    @torch.inference_mode()
    def predict(self, known: Known, maps: Tensor | None) -> Predicted:
        """What the model says of the hole's true pixels, for one row of latents."""
        hole = known.hole
        if not self.uses_kernel:
            return self._predicted(known.x, self.biases(known, maps, 1), hole)
        fill = Fill(self.stream, known.x, known.mask, self.conditions(known, maps, 1), None)
        list(fill)
        return Predicted(known.x[:, :, hole].mT, fill.params, hole)

    def _predicted(self, x: Tensor, biases: Tensor | None, hole: Tensor) -> Predicted:
        return Predicted(x[:, :, hole].mT, self.model.logits(x, biases)[:, :, hole].mT, hole)


def crispened(pictures: Tensor, share: float) -> Tensor:
    """Pictures (n, 3, H, W) with so much more of their own detail."""
    return each(pictures, lambda drawn: drawn + share * (drawn - cv2.GaussianBlur(drawn, (3, 3), 0.7)))


def frontal(model: CSI, mask: Tensor, z: Tensor) -> Tensor:
    """Which latents (n, z), of photos with holes (n, 1, H, W), are of faces that look ahead: boolean (n,); none where
    no latent holds the head's turn."""
    if "turn" not in model.config.named:
        return torch.zeros(len(z), dtype=torch.bool)
    left, right = (1.0 - mask).sum((1, 2)).tensor_split(2, 1)
    turn = z[:, model.config.named.index("turn")] * (left.sum(1) - right.sum(1)).sign()
    return (turn > FRONTAL[0]) & (turn < FRONTAL[1])


def mirrored(image: Tensor, mask: Tensor, fill: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Fills (n, 3, H, W) of photos and their holes, some of them (boolean (n,)) with the photo's mirror image where
    that is seen, and the share of each hole where it is, (n, 1)."""
    seen = mask.flip(3) * (1.0 - mask) * where[:, None, None, None]
    share = seen.sum((1, 2, 3)) / (1.0 - mask).sum((1, 2, 3)).clamp_min(1.0)
    return image.flip(3).where(seen > 0.5, fill), share[:, None]


def turns_of(mask: Tensor) -> int:
    """How often `Drawing.settle` fills the hole and looks again."""
    left, top, right, bottom = REGIONS["face"]
    if float(mask[..., top:bottom, left:right].mean()) < LEAST_SEEN:
        return 0
    return min(TURNS, round(TURNS * (2.0 * float(1.0 - mask.mean())) ** 4))
