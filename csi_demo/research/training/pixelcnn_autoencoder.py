"""Training the autoencoders with a PixelCNN and with an MSE decoder: end to end, on small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...data import read_split, shrink
from ...models.gated_pixelcnn import GatedPixelCNN
from ...models.pixelcnn_autoencoder import AutoencoderConfig, PixelCNNAutoencoder
from ...pixels import to_float
from .batches import draw_rows, generator
from .gated_pixelcnn import LN2
from .loop import Recipe, Settings


@dataclass(frozen=True)
class AutoencoderSettings(Settings):
    """How an autoencoder is trained: bits per dim with a PixelCNN, mean squared error (range 2) without."""

    pictures: tuple[int, ...] = (200_000,)
    learning_rate: tuple[float, ...] = (1e-3,)
    picked: int = 384  # pixels of a picture that count in a step
    context_weight: float = 0.5  # of the loss on the code's own logits
    spread: float = 0.01  # weight of the mean square of the codes, which keeps them near 0


class AutoencoderRecipe(Recipe[AutoencoderSettings, AutoencoderConfig]):
    """An autoencoder as the training loop sees it."""

    name = "pixelcnn-autoencoder"
    unit = "loss"
    settings_type, config_type = AutoencoderSettings, AutoencoderConfig
    model_type, files = PixelCNNAutoencoder, {"autoencoder": ("",)}

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        train, val = (shrink(read_split(data, split), self.config.image_size) for split in ("train", "val"))
        return train, val

    def step(self, model: PixelCNNAutoencoder, stage: int, dataset_size: int) -> AutoencoderStep:
        return AutoencoderStep(model, self.settings)

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        draw = generator(rng, frames.device)
        picked, _ = draw_rows(frames, count, draw)
        return {"frames": picked, "lottery": self._lottery(count, draw)}

    def _lottery(self, count: int, draw: torch.Generator) -> Tensor:
        return torch.rand(count, self.config.image_size**2, generator=draw, device=draw.device)

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        whole = self.settings.replace(picked=self.config.image_size**2)
        step, totals = AutoencoderStep(model, whole).eval(), dict[str, float]()
        for part in frames.to(device).split(32):
            lottery = self._lottery(len(part), generator(np.random.default_rng(0), part.device))
            for name, value in step(part, lottery).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(part) / len(frames)
        return totals


class AutoencoderStep(nn.Module):
    """The loss on one batch; the module that is wrapped for distributed training."""

    def __init__(self, model: PixelCNNAutoencoder, settings: AutoencoderSettings):
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, frames: Tensor, lottery: Tensor) -> dict[str, Tensor]:
        """frames: uint8 (B, 3, H, W); lottery: (B, H * W), uniform: pixels with high numbers count."""
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        code = self.model.encode(x)
        spread = code.float().square().mean()
        if not isinstance(self.model.decoder, GatedPixelCNN):
            error = (self.model.decoder(code).float() - x).square().mean()
            return {"loss": error + self.settings.spread * spread, "squared_error": error, "spread": spread}
        decoder = self.model.decoder
        maps, h = decoder.conditions(x, torch.zeros_like(x[:, :1]), code, torch.ones_like(code))
        features = decoder.features(x, decoder.biases(maps, h))
        chosen = lottery.topk(min(self.settings.picked, lottery.shape[1]), sorted=False).indices
        pixels = [
            tensor.flatten(2).transpose(1, 2).gather(1, chosen[..., None].expand(-1, -1, tensor.shape[1]))
            for tensor in (x, features, maps)
        ]
        with torch.autocast(x.device.type, enabled=False):
            whole, alone = decoder.head.nll(*(tensor.float() for tensor in pixels))
        bits, alone_bits = whole.mean() / (3.0 * LN2), alone.mean() / (3.0 * LN2)
        loss = bits + self.settings.context_weight * alone_bits + self.settings.spread * spread
        return {"loss": loss, "bits": bits, "context_bits": alone_bits, "spread": spread}
