"""The critic that teaches CSI's picture head (Brock et al. 2017, section 3.3): real, reconstructed, or filled in?

Three classes in place of two: a reconstruction and a fill pasted into its photo fail in different ways, and a critic
that tells them apart has more to say about either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

REAL, RECONSTRUCTED, FILLED = range(3)


def judge(critic: nn.Module, *inputs: Any) -> Any:
    """What a critic says of its inputs, with gradients that reach the inputs only."""
    return functional_call(critic, {name: parameter.detach() for name, parameter in critic.named_parameters()}, inputs)


@dataclass(frozen=True)
class CriticConfig:
    """Everything needed to rebuild the module; stored as config.json beside its weights."""

    width: int = 64  # channels at 32 pixels' width; doubled at each halving, at most eightfold
    scores: int = 0  # attributes that it learns to read off real pictures, too

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Critic(nn.Module):
    """Strided convolutions with leaky ReLU; no normalisation, so that a verdict does not depend on the batch."""

    def __init__(self, config: CriticConfig):
        super().__init__()
        self.config = config
        width = config.width
        channels = (3, width, 2 * width, 4 * width, 8 * width)
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(channels))
        self.verdict = nn.Conv2d(channels[-1], 3, 4)
        if config.scores:
            self.score = nn.Linear(channels[-1], config.scores)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, 0.2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """x: (B, 3, 64, 64) in [-1, 1]. Returns logits of the classes (B, 3), scores (B, scores), and the features of
        each level, (B, C_l, 32, 32) ... (B, C_l, 4, 4)."""
        seen, h = [], x
        for level in self.levels:
            h = F.leaky_relu(level(h), 0.2)
            seen.append(h)
        scores = self.score(h.mean((2, 3))).float() if self.config.scores else x.new_zeros(len(x), 0)
        return self.verdict(h).flatten(1).float(), scores, seen


def critic_loss(logits: Tensor, kind: int) -> Tensor:
    """Cross-entropy (B,) of the classes' logits (B, 3) where every picture is of one class."""
    return -F.log_softmax(logits, 1)[:, kind]


def gradient_penalty(critic: Critic, x: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018, equation 9): half the mean squared gradient of the logit of "real" against the others,
    at real pictures (B, 3, H, W); a scalar, in float32."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.float().requires_grad_()
        logits = critic(x)[0]
        margin = logits[:, REAL] - torch.logsumexp(logits[:, RECONSTRUCTED:], 1)
        (slope,) = torch.autograd.grad(margin.sum(), x, create_graph=True)
    return 0.5 * slope.square().sum((1, 2, 3)).mean()


class MaskedCritic(nn.Module):
    """Real or filled: logits for the whole picture and for patches of 22 pixels' width, from picture and mask.

    width: channels at 32 pixels' width; doubled at each halving.
    """

    def __init__(self, width: int = 48):
        super().__init__()
        channels = (4, width, 2 * width, 4 * width, 8 * width)
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(channels))
        self.patch = nn.Conv2d(channels[3], 1, 1)
        self.whole = nn.Conv2d(channels[4], 1, 4)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, 0.2)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """x: (B, 3, 64, 64) in [-1, 1]; mask: (B, 1, 64, 64), 1 = observed. Returns logits (B,) and (B, 8, 8), above 0
        for real, and the features of each level."""
        h, seen = torch.cat((x, mask * 2.0 - 1.0), 1), []
        for level in self.levels:
            h = F.leaky_relu(level(h), 0.2)
            seen.append(h)
        return self.whole(h).flatten().float(), self.patch(seen[2])[:, 0].float(), seen


def masked_gradient_penalty(critic: MaskedCritic, x: Tensor, mask: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018, equation 9) of both logits, the patches' as their mean: a scalar, in float32."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.float().requires_grad_()
        whole, patches, _ = critic(x, mask)
        (slope,) = torch.autograd.grad(whole.sum() + patches.mean((1, 2)).sum(), x, create_graph=True)
    return 0.5 * slope.square().sum((1, 2, 3)).mean()


class FeatureCritic(nn.Module):
    """Real or filled, by the face network's features at each depth: logits for places of the picture.

    A fixed network's features tell a critic at once what faces are made of (projected GANs, Sauer et al. 2021), where
    one that begins from pixels needs millions of pictures. Its own layers are few, under spectral normalisation.
    """

    def __init__(self, channels: Sequence[int] = (64, 96, 160, 224), width: int = 64):
        """channels: of the features, level by level; width: of its own."""
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(count + 1, width, 3, 1, 1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, width, 3, 1, 1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, 1, 1)),
            )
            for count in channels
        )

    def forward(self, levels: Sequence[Tensor], mask: Tensor) -> list[Tensor]:
        """levels: (B, C_l, H_l, W_l) each; mask: (B, 1, H, W), 1 = observed. Returns logits (B, H_l, W_l), above 0 for
        real."""
        found = []
        for head, level in zip(self.heads, levels, strict=True):
            observed = F.adaptive_avg_pool2d(mask, (level.shape[2], level.shape[3])).to(level.dtype)
            found.append(head(torch.cat((level, observed), 1))[:, 0].float())
        return found
