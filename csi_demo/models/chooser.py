"""Which of several fills drawn for one hole suit the face."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2


@dataclass(frozen=True)
class ChooserConfig:
    """Everything needed to rebuild the module; stored as config.json beside its weights."""

    width: int = 24  # channels at 32 pixels' width; doubled at each halving
    dropout: float = 0.2

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Chooser(nn.Module):
    """Tells fills drawn from the context's posterior from true faces. It also tells them from what the decoder draws of
    the whole face's latents.

    Trained to be right about either kind as often, a logit is the logarithm of how much likelier a fill is than the
    posterior believes, log p(fill | context) - log q(fill | context), but for a constant: what a discriminator corrects
    a generator with (Azadi et al. 2019, equation 3). It looks at half the resolution, where a decoder's hand shows less
    than what it drew.
    """

    def __init__(self, config: ChooserConfig):
        super().__init__()
        self.config = config
        width = config.width
        channels = (width, 2 * width, 4 * width, 8 * width)
        self.enter = nn.Conv2d(4, width, 3, 1, 1)
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(channels))
        self.verdict = nn.Conv2d(channels[-1], 2, 4)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        """picture: (B, 3, 64, 64) in [-1, 1], a fill pasted into its photo; mask: (B, 1, 64, 64), 1 = observed.

        Returns logits (B, 2): that it is true, and that it was drawn from the whole face, each against a draw from the
        posterior. The higher their sum, the better the fill suits the face.
        """
        h = self.enter(F.avg_pool2d(torch.cat((picture, mask * 2.0 - 1.0), 1), 2))  # (B, width, 32, 32)
        for level in self.levels:
            h = level(F.leaky_relu(h, SLOPE))  # (B, C_l, 16, 16) ... (B, C_l, 4, 4)
        h = F.dropout(F.leaky_relu(h, SLOPE), self.config.dropout, self.training)
        return self.verdict(h).flatten(1).float()
