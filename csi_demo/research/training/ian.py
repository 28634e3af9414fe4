"""Training the Introspective Adversarial Network: critic, inference head and generator in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ... import weights
from ...data import read_split, shrink
from ...models.ian import IAN, RECONSTRUCTION, SAMPLE, IANConfig, MultiscaleDilatedConv, orthogonality, real_logit
from ...pixels import FRAME, to_float
from ..metrics.features import face_network
from ..metrics.frechet import distance_to_faces
from .batches import generator
from .loop import Recipe, Settings
from .losses import DeepFeatures, normal_kl

WEIGHT_FILES = {"generator": ("generator.", "metric"), "encoder": ("critic.", "inference.")}

REBASE_FACES = 3000  # that the latents' spread is measured on, about


@dataclass(frozen=True)
class IANSettings(Settings):
    """How IAN is trained."""

    pictures: tuple[int, ...] = (1_000_000,)
    learning_rate: tuple[float, ...] = (3e-4,)
    betas: tuple[float, float] = (0.0, 0.99)
    final_rate: float = 0.1
    clip: float = 1e3  # adversarial gradients are left as they are
    val_pictures: int = 512
    checkpoint_minutes: float = 10.0  # the metric that is exported takes a minute of one core
    critic_rate: float = 1.0  # relative to the generator's
    penalty: float = 1.0  # weight of half the squared gradient of the real logit at real pictures
    penalty_share: float = 0.125  # of the steps that have it, weighted up accordingly
    pixel_weight: float = 5.0  # of the mean absolute difference, range 2
    critic_feature_weight: float = 1.0  # of the relative squared difference in the critic's features
    deep_feature_weight: float = 1.0  # of that in the face network's
    adversarial_weight: float = 0.4  # of -log p(real), of reconstructions and of samples
    kl_weight: float = 0.08  # of the mean over latents, in nats
    aggregate_weight: float = 1.0  # of that between a batch's latents, taken together, and the prior
    start: str = ""  # a folder of weights whose model `ian` is trained on, its latents rebased
    orthogonal_weight: float = 1e-3  # of the sum |W W^T - I| over the generator's filters; 0 = without


class IANRecipe(Recipe[IANSettings, IANConfig]):
    """IAN as the training loop sees it."""

    name = "ian"
    unit = "loss"
    settings_type, config_type = IANSettings, IANConfig
    model_type, files = IAN, WEIGHT_FILES

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        size = self.config.image_size
        frames, held_out = (shrink(read_split(data, split), size) for split in ("train", "val"))
        self.few = frames[:: max(1, len(frames) // REBASE_FACES)]
        return frames, held_out

    def build(self) -> IAN:
        model = IAN(self.config)
        if self.settings.start:
            weights.load_into(self.name, model, Path(self.settings.start))
            model.rebase(to_float(self.few))
            model.requires_grad_(True)
        return model

    def groups(self, model: IAN, stage: int) -> list[dict[str, Any]]:
        return [
            {"params": [*model.generator.parameters(), *model.inference.parameters()], "scale": 1.0},
            {"params": list(model.critic.parameters()), "scale": self.settings.critic_rate},
        ]

    def step(self, model: IAN, stage: int, dataset_size: int) -> nn.Module:
        return IntrospectiveStep(model, self.settings)

    def batch(self, model: IAN, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict:
        device, draw = frames.device, generator(rng, frames.device)
        picked = frames[torch.randint(len(frames), (count,), generator=draw, device=device)]
        mirrored = torch.rand((count, 1, 1, 1), generator=draw, device=device) < 0.5
        prior, noise = torch.randn((2, count, self.config.latent_dim), generator=draw, device=device)
        drawn = {"frames": torch.where(mirrored, picked.flip(3), picked), "prior": prior, "noise": noise}
        if rng.random() < self.settings.penalty_share:
            drawn["penalty"] = torch.full((), self.settings.penalty / self.settings.penalty_share, device=device)
        return drawn

    @torch.no_grad()
    def validate(self, model: IAN, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        x = to_float(frames.to(device))
        prior = torch.randn(len(x), self.config.latent_dim, generator=torch.Generator().manual_seed(0)).to(device)
        latents = torch.cat([model.encode(part).float() for part in x.split(100)])
        reconstructed = torch.cat([model.generator(part).float() for part in latents.split(100)])
        drawn = torch.cat([model.generator(part).float() for part in prior.split(100)])
        real = as_frames(x)
        distance = distance_to_faces(as_frames(drawn), real)
        return {
            "l1": float((reconstructed - x).abs().mean()),
            "attribute_error": attribute_error(as_frames(reconstructed), real),
            "latent_spread": float(latents.square().mean()),
            **({} if distance is None else {"frechet": distance}),
        }

    def export(self, model: IAN, metrics: Mapping[str, Any], folder: Path) -> None:
        with torch.enable_grad():
            model.measure_metric()
        super().export(model, metrics, folder)


def as_frames(x: Tensor) -> Tensor:
    """Pictures (B, 3, H, H) at the size that the face network sees, 64x64."""
    return x if x.shape[-1] == FRAME else F.interpolate(x.float(), size=FRAME, mode="bilinear")


@torch.no_grad()
def attribute_error(drawn: Tensor, real: Tensor) -> float:
    """Share of attributes that the face network sees in a picture or its reconstruction only. Both: (B, 3, 64, 64) in
    [-1, 1]."""
    network = face_network().to(real.device)
    parts = zip(drawn.split(100), real.split(100), strict=True)
    return float(torch.cat([((network(one) > 0) != (network(other) > 0)).float() for one, other in parts]).mean())


class IntrospectiveStep(nn.Module):
    """All losses on one batch, each reaching the parameters of its own player only; one step moves them all.

    The critic's layers learn to judge and nothing else; the inference head and the generator learn from the distances
    of reconstructions, from the critic's verdicts and from the prior.
    """

    def __init__(self, model: IAN, settings: IANSettings):
        super().__init__()
        self.critic, self.inference, self.generator = model.critic, model.inference, model.generator
        self.settings = settings
        self.deep = DeepFeatures("faces") if settings.deep_feature_weight else None
        kinds = (nn.Conv2d, MultiscaleDilatedConv)
        self.filters = [module.weight for module in self.generator.modules() if isinstance(module, kinds)]

    def forward(self, frames: Tensor, prior: Tensor, noise: Tensor, penalty: Tensor | None = None) -> dict[str, Tensor]:
        """The losses of a batch, by name.

        frames: uint8 (B, 3, H, W); prior, noise: (B, z), standard normal; penalty: (), weight of R1 (Mescheder et
        al., 2018, equation 9), or None for a step without it."""
        chosen = self.settings
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        real_verdict, features = self.critic(x)
        features = [level.detach() for level in features]
        mean, log_deviation = self.inference(features)
        mean, log_deviation = mean.float(), log_deviation.float()
        fake = self.generator(torch.cat((mean + log_deviation.exp() * noise, prior)))
        reconstruction = fake[: len(x)]

        fake_verdict, _ = self.critic(fake.detach())
        critic = self._judged(real_verdict.float(), fake_verdict.float())
        terms = {"critic": critic}
        if penalty is not None:
            terms["critic"] = critic + penalty * self._squared_slope(x)

        fixed = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        verdict, reached = functional_call(self.critic, fixed, (fake,))
        terms["adversarial"] = 2.0 * F.softplus(-real_logit(verdict.float())).mean()  # -log p(real), of both kinds
        terms["pixels"] = (reconstruction.float() - x).abs().mean()
        matches = [_relative(level[: len(x)], wanted) for level, wanted in zip(reached, features, strict=True)]
        terms["critic_features"] = torch.stack(matches).mean()
        terms["kl"] = normal_kl(mean, 2.0 * log_deviation).mean() / mean.shape[1]
        with torch.autocast(x.device.type, enabled=False):
            terms["aggregate"] = _aggregate_kl(mean, log_deviation)
        weighted = {
            "critic": 1.0,
            "adversarial": chosen.adversarial_weight,
            "pixels": chosen.pixel_weight,
            "critic_features": chosen.critic_feature_weight,
            "kl": chosen.kl_weight,
            "aggregate": chosen.aggregate_weight,
        }
        if self.deep is not None:
            terms["deep_features"] = self.deep.distance(as_frames(reconstruction), self._deep(x))
            weighted["deep_features"] = chosen.deep_feature_weight
        if chosen.orthogonal_weight:
            with torch.autocast(x.device.type, enabled=False):
                terms["orthogonal"] = orthogonality(self.filters)
            weighted["orthogonal"] = chosen.orthogonal_weight
        loss = torch.stack([weight * terms[name] for name, weight in weighted.items()]).sum()
        right = (
            0.5 * (real_logit(real_verdict) > 0).float().mean() + 0.5 * (real_logit(fake_verdict) < 0).float().mean()
        )
        return {"loss": loss} | terms | {"critic_right": right}

    def _judged(self, real: Tensor, fake: Tensor) -> Tensor:
        """The critic's cross-entropy by its logits on B pictures, and on B reconstructions and B samples."""
        if real.shape[1] == 1:
            return F.softplus(-real).mean() + 2.0 * F.softplus(fake).mean()
        truth = torch.full((len(fake),), RECONSTRUCTION, device=fake.device)
        truth[len(real) :] = SAMPLE
        return -real.log_softmax(1)[:, 0].mean() + 2.0 * F.cross_entropy(fake, truth)

    def _squared_slope(self, x: Tensor) -> Tensor:
        """Half the squared gradient of the real logit at real pictures, in full precision."""
        with torch.autocast(x.device.type, enabled=False):
            at = x.detach().requires_grad_()
            logits, _ = self.critic(at)
            (slope,) = torch.autograd.grad(real_logit(logits).sum(), at, create_graph=True)
        return 0.5 * slope.square().sum((1, 2, 3)).mean()

    @torch.no_grad()
    def _deep(self, x: Tensor) -> list[Tensor]:
        assert self.deep is not None
        return self.deep(as_frames(x))


def _aggregate_kl(mean: Tensor, log_deviation: Tensor) -> Tensor:
    """KL from the prior of what a batch's posteriors (B, z) make together, in nats a latent, as a normal distribution.

    To second order in the latents' correlations R: (sum_i m_i^2 + v_i - 1 - log v_i) / 2 + sum_i!=j R_ij^2 / 4. Each
    face's own KL alone lets latents shrink and go along with each other, and then samples of the prior are no faces.
    """
    count, latents = mean.shape
    middle = mean.mean(0)
    variance = ((mean - middle).square() + (2.0 * log_deviation).exp()).mean(0) + 1e-6
    scaled = (mean - middle) / variance.sqrt()
    correlation = scaled.T @ scaled / count
    own = correlation.diagonal()
    chance = (own.sum().square() - own.square().sum()) / count  # what so few faces show of latents that are independent
    across = correlation.square().sum() - own.square().sum() - chance
    alone = middle.square() + variance - 1.0 - variance.log()
    return (0.5 * alone.sum() + 0.25 * across) / latents


def _relative(mine: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference in units of the mean square of what is wanted."""
    return (mine - wanted).float().square().mean() / wanted.float().square().mean()
