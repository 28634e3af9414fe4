"""Loss terms: regularisers of CSI's latent space (equations 1, 2, 5), KL, and distances in deep features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..metrics.features import face_network
from ..metrics.posterior import kl_decomposition, mmd

PRIOR_SAMPLES = 256
TURN, ZOOM, SHIFT = 0.15, 0.1, 0.04  # of views, at most: radians, logarithm of the scale, share of half a picture
COLOUR_PATCH = 4  # pixels' width
SCORE_NOISE = 0.03  # on pictures that are scored: what is too faint to be seen shall not count
FARTHEST = 9.0  # squared change of a logit that counts at most
FACE, SPREAD = (36.0, 32.0), 12.0  # row and column of a face's middle, and how far around it counts: pixels


def regulariser(
    objective: str,
    z: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    prior: Tensor,
    *,
    weight: float,
    tc_beta: float,
    dataset_size: int,
    dims: int,
) -> Tensor:
    """The term added to a reconstruction loss in bits per dim, in the same unit; ``dims`` = values in a picture.

    mmd: weight * MMD(q(z), p(z)). vae: the KL. beta-tcvae: the KL with its total correlation scaled by tc_beta.
    info-beta-tcvae: the same without the mutual information.
    """
    if objective == "mmd":
        return weight * mmd(z, prior)
    parts = kl_decomposition(z, mean, log_variance, dataset_size)
    beta = 1.0 if objective == "vae" else tc_beta
    nats = beta * parts["total_correlation"] + parts["dimension_kl"]
    if objective != "info-beta-tcvae":
        nats = nats + parts["mutual_information"]
    return nats / (dims * math.log(2.0))


def normal_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats: (B, z), (B, z) to (B,)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).sum(1)


class DeepFeatures(nn.Module):
    """Activations of a fixed network at several depths, and the distance between pictures in them.

    kind: "faces", our own face network, or "vgg16", the ImageNet network of torchvision, which fetches its weights
    itself. Raises ValueError for another kind or where torchvision is missing.
    """

    VGG16_LAYERS = (3, 8, 15)  # relu1_2, relu2_2, relu3_3

    def __init__(self, kind: str = "faces"):
        super().__init__()
        self.kind = kind
        if kind == "faces":
            self.network: nn.Module = face_network()
        elif kind == "vgg16":
            try:
                from torchvision.models import VGG16_Weights, vgg16
            except ImportError:
                raise ValueError("features=vgg16 needs torchvision: install it, or use features=faces") from None
            self.network = vgg16(weights=VGG16_Weights.IMAGENET1K_V1).features[: self.VGG16_LAYERS[-1] + 1]
        else:
            raise ValueError(f"features={kind!r} is neither faces nor vgg16")
        self.network = self.network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> DeepFeatures:
        return super().train(False)  # fixed: batch statistics stay as they are

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (B, 3, 64, 64) in [-1, 1]. Returns one (B, C_l, H_l, W_l) a level."""
        if self.kind == "faces":
            return self.network.activations(x)[:3]  # type: ignore[operator]
        mean, deviation = (torch.tensor(v, device=x.device)[:, None, None] for v in _IMAGENET)
        h, found = (0.5 * x + 0.5 - mean) / deviation, []
        for index, layer in enumerate(self.network.children()):
            h = layer(h)
            if index in self.VGG16_LAYERS:
                found.append(h)
        return found

    def distance(self, drawn: Tensor, reached: list[Tensor], weight: Tensor | None = None) -> Tensor:
        """Equation 2's second term: mean squared difference of each level, in units of its mean square, averaged.

        drawn: (B, 3, 64, 64); reached: the features of the pictures that are wanted; weight: (1, 1, 64, 64), of places,
        all alike if None. Returns a scalar.
        """
        terms = []
        for mine, wanted in zip(self(drawn), reached, strict=True):
            square = (mine - wanted).float().square()
            if weight is not None:
                square = square * F.adaptive_avg_pool2d(weight, square.shape[2:])
            terms.append(square.mean() / wanted.float().square().mean())
        return torch.stack(terms).mean()


class FaceFeatures(nn.Module):
    """The distance of pictures in deep features that count in the face alone, which lies in the middle, and from a view
    drawn at random.

    Where a picture cannot be foretold, as in hair and background, deep features reward a grating that excites their
    network as much as detail would; from one and the same view they reward checks, too.
    """

    place: Tensor  # (1, 1, 64, 64), weights

    def __init__(self, kind: str = "faces"):
        super().__init__()
        self.features = DeepFeatures(kind)
        down, across = (torch.exp(-(torch.arange(64.0) - at).square() / (2.0 * SPREAD**2)) for at in FACE)
        self.register_buffer("place", torch.outer(down, across)[None, None], persistent=False)

    def forward(self, drawn: Tensor, x: Tensor, views: Tensor) -> Tensor:
        """drawn: (k B, 3, 64, 64), k versions of x (B, 3, 64, 64); views: (B, 2, 3). Returns a scalar."""
        times = len(drawn) // len(x)
        reached = [level.repeat(times, 1, 1, 1) for level in self.features(seen_from(x, views))]
        seen = seen_from(drawn, views.repeat(times, 1, 1))
        return self.features.distance(seen, reached, self.place.to(x.device))


class AttributeScores(nn.Module):
    """How the face network sees it where attributes are set otherwise than they were.

    names: of the attributes, y's columns. keep: whether it counts, too, what else of them has changed.
    """

    columns: Tensor

    def __init__(self, names: Sequence[str], keep: bool = True):
        super().__init__()
        self.keep = keep
        self.network = face_network().eval().requires_grad_(False)
        known = self.network.config.names
        self.register_buffer("columns", torch.tensor([known.index(name) for name in names]), persistent=False)

    def train(self, mode: bool = True) -> AttributeScores:
        self.training = mode
        return self  # the network is fixed

    def forward(
        self, drawn: Tensor, moved: Tensor, set_so: Tensor, setting: Tensor, views: Tensor
    ) -> dict[str, Tensor]:
        """Pictures (B, 3, 64, 64) as they were and with an attribute set, one-hot in set_so (B, A), to setting (B, 1);
        views (B, 2, 3). Returns how far that is not seen, how far other logits change (if it counts), and how far
        colours do."""
        seen = seen_from(moved, views)
        noise = SCORE_NOISE if self.training else 0.0
        logits = self.network(seen + noise * torch.randn_like(seen)).float()[:, self.columns]
        wanted = 0.5 + 0.5 * setting
        found = {"disobeyed": F.binary_cross_entropy_with_logits((logits * set_so).sum(1, keepdim=True), wanted)}
        if self.keep:
            with torch.no_grad():
                before = self.network(seen_from(drawn, views)).float()[:, self.columns]
            found["strayed"] = ((logits - before).square().clamp(max=FARTHEST) * (1.0 - set_so)).mean()
        return found | {"recoloured": (colours(moved) - colours(drawn)).square().mean()}


def random_views(count: int, draw: torch.Generator) -> Tensor:
    """Affine maps (count, 2, 3) as of `seen_from`: moved, turned and enlarged a little, drawn on the generator's
    device."""
    angle, zoom, across, down = (2.0 * torch.rand(4, count, generator=draw, device=draw.device) - 1.0).unbind()
    angle, zoom = TURN * angle, torch.exp(ZOOM * zoom)
    cosine, sine = zoom * torch.cos(angle), zoom * torch.sin(angle)
    rows = (cosine, -sine, SHIFT * across), (sine, cosine, SHIFT * down)
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def seen_from(pictures: Tensor, views: Tensor) -> Tensor:
    """Pictures (B, C, H, W) under affine maps (B, 2, 3), borders repeated; nothing is smoothed but by interpolation."""
    with torch.autocast(pictures.device.type, enabled=False):
        grid = F.affine_grid(views, list(pictures.shape), align_corners=False)
        return F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)


def colours(pictures: Tensor) -> Tensor:
    """What is left of (B, 3, H, W) without brightness, as means of patches: (B, 3, H / 4, W / 4)."""
    return F.avg_pool2d(pictures - pictures.mean(1, keepdim=True), COLOUR_PATCH)


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
