"""Attribute-guided completion (Ham et al. 2018, section 3.2): the iterative scheme with attributes y held."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .. import weights
from ..models.attribute_vae import AttributeVAE
from .attributes import AttributeMethod, AttributeSliders
from .base import Task, keep_observed
from .fitting import FITTING
from .vae import ITERATIONS, TEMPERATURE, IteratingVAE

REACH = 2.0  # y at the sliders' ends: the model learned 1 and obeys it by halves
FIRST_FILL = 6  # iterations of the unsteered fill that y is read from


class AttributeVAEMethod(AttributeMethod, IteratingVAE):
    name = "vae-attributes"
    label = "Attribute VAE"
    description = "The VAE's iterations, with what the face is to look like held: sliders for attributes (Ham et al.)."
    options = (ITERATIONS, TEMPERATURE, *FITTING)

    def __init__(self) -> None:
        self.model: AttributeVAE = weights.load_network("vae-attributes")
        self.latent_dim = self.model.config.latent_dim
        self.sliders = AttributeSliders("vae-attributes", self.model.config.names, reach=REACH)

    @torch.inference_mode()
    def first_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        image, mask = image.to(self.device), mask.to(self.device)
        picture, nothing = image * mask, torch.zeros(1, len(self.sliders.names), device=self.device)
        for _ in range(FIRST_FILL):
            mean, _ = self.model.encode_with(picture, True, nothing, nothing)
            picture = keep_observed(image, mask, self.model.decode_with(mean, nothing, nothing))
        return picture

    def hold(self, task: Task) -> tuple[Tensor, ...]:
        y, known = self.sliders.held(task.controls)
        y = torch.where(known > 0.5, y, self.seen(task.image, task.mask)).to(self.device)
        return y, torch.ones_like(y)

    @torch.no_grad()
    def draw(
        self, picture: Tensor, mask: Tensor, eps: Tensor, options: Mapping[str, float], held: tuple[Tensor, ...]
    ) -> Tensor:
        y, known = held
        mean, log_variance = self.model.encode_with(picture, True, y, known)
        z = mean + options["temperature"] * torch.exp(0.5 * log_variance) * eps
        return self.model.decode_with(z, y, known)
