"""Attribute-guided completion (Ham et al. 2018, section 3.2): the iterative scheme with attributes y held."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import torch
from torch import Tensor

from .. import weights
from ..models.attribute_vae import AttributeVAE
from .attributes import AttributeSliders
from .base import Control, Task, keep_observed
from .fitting import BLEND
from .vae import TEMPERATURE, IteratingVAE

KEPT = 16  # photos with their holes whose y is kept
FIRST_FILL = 6  # iterations of the unsteered fill that y is read from


class AttributeVAEMethod(IteratingVAE):
    name = "vae-attributes"
    label = "Attribute VAE"
    description = "The VAE's iterations, with what the face is to look like held: sliders for attributes (Ham et al.)."
    options = (
        Control("iterations", "Iterations", 1, 200, 12, "How often the picture is encoded and decoded.", step=1),
        TEMPERATURE,
        BLEND,
    )

    def __init__(self) -> None:
        self.model: AttributeVAE = weights.load_network("vae-attributes")
        self.latent_dim = self.model.config.latent_dim
        self.sliders = AttributeSliders("vae-attributes", self.model.config.names)
        self._seen: dict[bytes, Tensor] = {}
        self._lock = threading.Lock()

    @property
    def controls(self) -> tuple[Control, ...]:
        return self.sliders.controls

    def relevance(self, mask: Tensor) -> dict[str, float]:
        return self.sliders.relevance(mask)

    def start_values(self, image: Tensor, mask: Tensor) -> dict[str, float]:
        return self.sliders.values(self.seen(image, mask))

    @torch.inference_mode()
    def seen(self, image: Tensor, mask: Tensor) -> Tensor:
        """y (1, A) that the face network sees in a first fill without attributes, likeliest latents."""
        key = image.numpy().tobytes() + mask.numpy().tobytes()
        with self._lock:
            found = self._seen.get(key)
        if found is None:
            here, hole = image.to(self.device), mask.to(self.device)
            picture, nothing = here * hole, torch.zeros(1, len(self.sliders.names), device=self.device)
            for _ in range(FIRST_FILL):
                mean, _ = self.model.encode_with(picture, True, nothing, nothing)
                picture = keep_observed(here, hole, self.model.decode_with(mean, nothing, nothing))
            found = self.sliders.seen(picture)
            with self._lock:
                self._seen[key] = found
                while len(self._seen) > KEPT:
                    self._seen.pop(next(iter(self._seen)))
        return found

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
