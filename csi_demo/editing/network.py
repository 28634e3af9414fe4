"""The network that edits are made with: pictures to latents and back, and how a picture answers to its latents."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from .. import weights
from ..models.ian import IAN
from ..models.ian_still import StillGenerator

MODEL = "ian"


@cache
def load_network() -> IAN:
    """The trained network, loaded once, to draw in bfloat16 where that is faster. Raises WeightsError."""
    with torch.inference_mode(False):  # whoever asks first: the brush wants gradients through it
        network = weights.load_network(MODEL)
    if torch.cpu._is_amx_tile_supported():
        network.precision = torch.bfloat16
    return network.to(memory_format=torch.channels_last)


@cache
def _inverse_metric(network: IAN, softness: float) -> Tensor:
    metric = network.metric.double()
    inverse = torch.linalg.inv(metric + softness * torch.eye(len(metric), dtype=metric.dtype))
    return (inverse / inverse.diagonal().mean()).float()


@cache
def _still(network: IAN) -> StillGenerator:
    with torch.inference_mode(False), torch.no_grad(), weights.Undrawn():
        return StillGenerator(network.generator, network.precision)


class Drawing:
    """Latents (1, z) and the picture (1, 3, 64, 64) that the generator makes of them, drawn when it is first asked for.

    The picture's path back to the latents is kept until `forget`: the next move of the brush starts from it.
    """

    def __init__(self, network: IAN, z: Tensor):
        self.network, self.z = network, z.detach()
        self._leaf: Tensor | None = None
        self._drawn: Tensor | None = None
        self._picture: Tensor | None = None

    @property
    def picture(self) -> Tensor:
        """G(z), (1, 3, 64, 64) in [-1, 1], without a way back."""
        if self._picture is None:
            self._picture = self.path()[1].detach()
        return self._picture

    def path(self) -> tuple[Tensor, Tensor]:
        """Latents that want a gradient, and the picture drawn from them."""
        if self._leaf is None or self._drawn is None:
            with torch.inference_mode(False), torch.enable_grad():
                self._leaf = self.z.clone().requires_grad_()
                self._drawn = _still(self.network)(self._leaf)
        return self._leaf, self._drawn

    def inverse_metric(self, softness: float) -> Tensor:
        """The inverse of the network's metric plus softness times the identity, with a mean diagonal of 1: (z, z)."""
        return _inverse_metric(self.network, softness)

    def forget(self) -> None:
        """Lets go of the way back, which weighs a thousand times as much as the picture."""
        self._leaf = self._drawn = None
