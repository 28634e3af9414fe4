"""Training the VAE with attributes (Ham et al. 2018, section 3.2), on complete and on masked pictures.

Left to itself such a model ignores y: z carries it already. So some attributes are kept from it, and every face is
decoded a second time with one attribute set otherwise, which the face network has to see, and nothing else changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...models.attribute_vae import AttributeVAE, AttributeVAEConfig
from ...pixels import to_float
from ..metrics.features import face_network
from ..metrics.labels import FaceLabels
from .batches import draw_rows, generator, some_unknown
from .losses import AttributeScores, normal_kl
from .vae import VAERecipe, VAESettings, VAEStep, own_fills


@dataclass(frozen=True)
class AttributeVAESettings(VAESettings):
    """How the attribute VAE is trained; the loss is in nats per pixel and channel."""

    start: str = "vae"
    attributes: str = "all"  # or names with commas between them
    pictures_seen: str = "both"  # "complete", "masked" or "both": which encoders learn
    unknown: float = 0.1  # share of faces of whom no attribute is known
    unknown_each: float = 0.1  # chance of any one attribute to be unknown
    obey_weight: float = 0.05  # of the cross-entropy of an attribute that was set
    keep_weight: float = 0.02  # of the squared change of all other logits
    tint_weight: float = 2.0  # of the squared change of colours


class AttributeVAERecipe(VAERecipe):
    """The attribute VAE as the training loop sees it; `overrides` are fields of AttributeVAEConfig."""

    name = "vae-attributes"
    settings_type, config_type = AttributeVAESettings, AttributeVAEConfig
    model_type = AttributeVAE
    config: AttributeVAEConfig

    def __init__(self, settings: AttributeVAESettings, overrides: Mapping[str, Any]):
        known = face_network().config.names
        names = known if settings.attributes == "all" else tuple(settings.attributes.split(","))
        if not set(names) <= set(known):
            raise ValueError(f"attributes={settings.attributes}: unknown {', '.join(sorted(set(names) - set(known)))}")
        if settings.pictures_seen not in ("complete", "masked", "both"):
            raise ValueError(f"pictures_seen={settings.pictures_seen!r}: complete, masked or both")
        super().__init__(settings, {"names": names} | dict(overrides))
        self.settings: AttributeVAESettings = settings

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        self.labels = FaceLabels(data, "train", self.config.names)
        self.held_out_labels = FaceLabels(data, "val", self.config.names)
        return super().read(data)

    def fit(self, model: Any, pictures: int = 0) -> None:
        pass  # it completes pictures; nothing is drawn from its prior alone

    def samples(self, model: Any, frames: Tensor, device) -> dict[str, float]:
        return {}

    def loss(self, model: Any) -> nn.Module:
        return AttributeVAEStep(model, self.settings)

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        draw = generator(rng, frames.device)
        y = self.labels.of(frames)
        picked, rows = draw_rows(frames, count, draw)
        return self.around(picked, draw) | self.about(y[rows], draw)

    def about(self, y: Tensor, draw: torch.Generator) -> dict[str, Tensor]:
        """What is known of faces, y (B, A), and which attribute is set to what in their second pictures."""
        count, attributes = y.shape
        known = some_unknown((count, attributes), self.settings.unknown, self.settings.unknown_each, draw)
        chosen = torch.randint(attributes, (count, 1), generator=draw, device=draw.device)
        # To the other side of where it is, by degrees.
        degree = 0.5 + 0.5 * torch.rand(count, 1, generator=draw, device=draw.device)
        setting = torch.where(y.gather(1, chosen) > 0.0, -degree, degree)
        return {"y": y, "known": known, "chosen": chosen, "setting": setting}

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        frames = frames.to(device)
        y = self.held_out_labels.of(frames, self.labels.log_odds())
        step, totals, few = self.loss(model).eval(), dict[str, float](), frames[:256]
        draw = generator(np.random.default_rng(0), few.device)
        for part, theirs in zip(few.split(64), y[:256].split(64), strict=True):
            for name, value in step(**self.around(part, draw), **self.about(theirs, draw)).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(part) / len(few)
        return totals


class AttributeVAEStep(VAEStep):
    """Both encoders, half of the batch each, and every face a second time with one attribute set otherwise."""

    model: AttributeVAE

    def __init__(self, model: AttributeVAE, settings: AttributeVAESettings):
        super().__init__(model, settings)
        self.attributes: AttributeVAESettings = settings
        self.scores = AttributeScores(model.config.names)

    def forward(  # type: ignore[override]
        self,
        frames: Tensor,
        mask: Tensor,
        eps: Tensor,
        turns: Tensor,
        views: Tensor,
        y: Tensor,
        known: Tensor,
        chosen: Tensor,
        setting: Tensor,
    ) -> dict[str, Tensor]:
        """The losses of a batch, by name.

        frames: uint8 (B, 3, H, W), B even; mask (B, 1, H, W); eps (2, B, z); turns (B, 1, 1, 1); views (B, 2, 3);
        y, known (B, A); chosen, setting (B, 1): which attribute is set to what."""
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        settings = self.attributes
        whole = {"complete": len(x), "masked": 0}.get(settings.pictures_seen, len(x) // 2)
        seen = self.seen(x, mask, turns, eps[1], y, known, whole)
        drawn, mean, log_variance = self.drawn(seen, eps[0], y, known, whole)
        terms = self.terms(drawn, x, normal_kl(mean, log_variance), views)
        if settings.obey_weight and self.model.config.attributes_to != "none":
            set_so = torch.zeros_like(y).scatter(1, chosen, 1.0)
            moved, _, _ = self.drawn(seen, eps[0], torch.lerp(y, setting, set_so), torch.maximum(known, set_so), whole)
            scores = self.scores(drawn.detach().float(), moved.float(), set_so, setting, views)
            weights = settings.obey_weight, settings.keep_weight, settings.tint_weight
            terms |= scores
            terms["loss"] = terms["loss"] + sum(w * score for w, score in zip(weights, scores.values(), strict=True))
        return terms

    def seen(self, x: Tensor, mask: Tensor, turns: Tensor, eps: Tensor, y: Tensor, known: Tensor, whole: int) -> Tensor:
        """What the encoders see: the first `whole` pictures complete, the rest masked, some with the model's fill."""
        if whole == len(x):
            return x
        rest = slice(whole, None)

        def draw(seen: Tensor) -> Tensor:
            mean, log_variance = self.model.encode_with(seen, True, y[rest], known[rest])
            return self.model.decode_with(mean + eps[rest] * torch.exp(0.5 * log_variance), y[rest], known[rest])

        return torch.cat((x[:whole], own_fills(draw, (x * mask)[rest], mask[rest], turns[rest])))

    def drawn(self, seen: Tensor, eps: Tensor, y: Tensor, known: Tensor, whole: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (B, 3, H, W) and the mean and log-variance of their latents, given attributes."""
        sides = (slice(0, whole), False), (slice(whole, None), True)
        found = [
            self.model.encode_with(seen[side], masked, y[side], known[side])
            for side, masked in sides
            if len(seen[side])
        ]
        mean, log_variance = (torch.cat(parts) for parts in zip(*found, strict=True))
        z = mean + eps * torch.exp(0.5 * log_variance)
        return self.model.decode_with(z, y, known), mean, log_variance
