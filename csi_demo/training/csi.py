"""Training CSI in two stages (CSI, sections 3 and 4).

Stage 1 explains the whole picture from z with the forward stream (equation 1); stage 2 freezes encoder and decoder and
trains both streams on the hole's pixels given the context and z (equation 4). The PixelCNNs see crops: they model
details only, and a crop costs a fraction of a picture. Pictures are averaged down to the model's size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import masks, weights
from ..data import read_split, shrink
from ..models.csi import CSI, CSIConfig
from ..pixels import masks_to_tensor, to_float
from . import losses
from .batches import draw_frames
from .loop import Recipe, Settings

LN2 = math.log(2.0)
WEIGHT_FILES = {"encoder": ("encoder.",), "decoder": ("decoder.", "rgb_head."), "pixelcnn": ("",)}


@dataclass(frozen=True)
class CSISettings(Settings):
    """How CSI is trained; see `Settings` for what every model shares."""

    pictures: tuple[int, ...] = (400_000, 300_000)  # per stage
    learning_rate: tuple[float, ...] = (1.5e-3, 4e-4)
    crop: tuple[int, ...] = (24, 32)  # side of what the PixelCNNs see, per stage
    context_rate: float = 5.0  # learning rate of what is new in stage 2, relative to the rest
    edge_weight: float = 5.0  # stage 2: how much more a hole pixel counts that has context close below or right of it
    rgb_weight: float = 1.0  # stage 1's auxiliary loss on the decoder's own RGB picture
    feature_weight: float = 1.0  # stage 1's auxiliary loss on that picture's deep features
    features: str = "faces"  # as `DeepFeatures` has it
    one_stage: bool = False  # everything learns in stage 2, the latents from the hole's pixels alone (appendix C.3)


class CSIRecipe(Recipe):
    """CSI as the training loop sees it; `overrides` are fields of CSIConfig."""

    name = "csi"
    unit = "bits per dim"
    settings_type, config_type = CSISettings, CSIConfig

    def __init__(self, settings: CSISettings, overrides: Mapping[str, Any]):
        self.settings: CSISettings = settings
        self.config = CSIConfig(**overrides)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        train, val = (shrink(read_split(data, split), self.config.image_size) for split in ("train", "val"))
        return train, val

    def build(self) -> CSI:
        return CSI(self.config)

    def stages(self) -> tuple[int, ...]:
        return (1, 2) if self.config.latent_dim and not self.settings.one_stage else (2,)

    def begin(self, model: CSI, stage: int) -> None:
        if stage == 2 and self.config.reverse_stream and self.config.latent_dim:
            model.start_reverse_stream()

    def groups(self, model: CSI, stage: int) -> list[dict[str, Any]]:
        new: list[nn.Parameter] = []
        carried: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                fresh = stage == 2 and name.startswith(("reverse_stream.", "from_context."))
                (new if fresh else carried).append(parameter)
        groups = [{"params": carried, "scale": 1.0}, {"params": new, "scale": self.settings.context_rate}]
        return [group for group in groups if group["params"]]

    def step(self, model: CSI, stage: int, dataset_size: int) -> CSIStep:
        return CSIStep(model, stage, self.settings, dataset_size)

    def batch(self, model: CSI, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        return make_batch(frames, count, stage, rng, self.settings.crop[stage - 1], self.config.latent_dim)

    def validate(self, model: CSI, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        return validate(model, frames, stage, self.settings, dataset_size, device)

    def export(self, model: CSI, metrics: Mapping[str, Any], folder: Path) -> None:
        weights.save_model(folder, self.config.to_dict(), model.state_dict(), metrics, WEIGHT_FILES)


class CSIStep(nn.Module):
    """One stage's loss on one batch; the module that is wrapped for distributed training."""

    def __init__(self, model: CSI, stage: int, settings: CSISettings, dataset_size: int):
        super().__init__()
        self.model, self.stage, self.settings, self.dataset_size = model, stage, settings, dataset_size
        self.infers = stage == 1 or settings.one_stage  # encoder and decoder learn, too
        self.nll = torch.compile(model.pixel_nll) if settings.compile else model.pixel_nll
        self.features = losses.DeepFeatures(settings.features) if stage == 1 and settings.feature_weight else None
        wanted = {id(parameter) for parameter in model.stage_parameters(stage, settings.one_stage)}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in wanted)

    def train(self, mode: bool = True) -> CSIStep:
        super().train(mode)
        if self.model.config.latent_dim and not self.infers:  # frozen: batch statistics stay as they are
            self.model.encoder.eval()
            self.model.decoder.eval()
        return self

    def forward(self, frames: Tensor, mask: Tensor, noise: Tensor, eps: Tensor, prior: Tensor, crop: Tensor) -> dict:
        """frames: uint8 (B, 3, H, W); mask (B, 1, H, W); noise (B, 3, H, W); eps (B, z); prior (256, z); crop (B, 2).

        Returns scalars; "loss" is the one to minimise, in bits per dim.
        """
        config, terms = self.model.config, {}
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        maps = None
        if config.latent_dim:
            with torch.set_grad_enabled(self.infers and torch.is_grad_enabled()):
                mean, log_variance = self.model.encode(x, mask, noise)
                z = mean + eps * torch.exp(0.5 * log_variance)
                maps = self.model.decode(z)
        size = min(self.settings.crop[self.stage - 1], config.image_size)
        x_crop, mask_crop = crop_each(x, crop, size), crop_each(mask, crop, size)
        maps_crop = crop_each(maps, crop, size) if maps is not None else None
        if self.stage == 1:
            assert maps is not None, "stage 1 trains the encoder: a model without latents has stage 2 only"
            terms["bits"] = self.nll(x_crop, maps_crop, None).mean() / (3.0 * LN2)
            rgb = self.model.rgb_head(maps).float()
            # A Laplace distribution at the batch's most likely scale, in bits per dim up to a constant.
            terms["rgb"] = torch.log2((rgb - x).abs().mean())
            auxiliary = self.settings.rgb_weight * terms["rgb"]
            if self.features is not None:  # likewise, of a normal distribution of the features
                with torch.no_grad():
                    wanted = self.features(x)
                terms["deep"] = 0.5 * torch.log2(self.features.distance(rgb, wanted))
                auxiliary = auxiliary + self.settings.feature_weight * terms["deep"]
            terms["loss"] = terms["bits"] + auxiliary
        else:
            hole = 1.0 - mask_crop[:, 0]  # (B, h, w)
            nll = self.nll(x_crop, maps_crop, mask_crop) / (3.0 * LN2)
            terms["bits"] = (nll * hole).sum() / hole.sum()
            weight = hole * (1.0 + self.settings.edge_weight * near_later_context(mask_crop))
            terms["loss"] = (nll * weight).sum() / weight.sum()
        if config.latent_dim and self.infers:
            terms["regulariser"] = losses.regulariser(
                config.objective,
                z,
                mean,
                log_variance,
                prior,
                weight=config.regulariser_weight,
                tc_beta=config.tc_beta,
                dataset_size=self.dataset_size,
                dims=x[0].numel(),
            )
            terms["loss"] = terms["loss"] + terms["regulariser"]
        if config.latent_dim:
            terms["posterior_sigma"] = torch.exp(0.5 * log_variance).mean()
            terms["mean_spread"] = mean.std(0).mean()
            terms["mmd"] = losses.mmd(z.detach(), prior)
        return terms


def near_later_context(mask: Tensor, reach: int = 2) -> Tensor:
    """1 where an observed pixel lies in the same or the next rows, at most `reach` away: (B, 1, H, W) -> (B, H, W).

    There the reverse stream has most to say; such pixels are few, so that they are lost in a plain mean.
    """
    padded = nn.functional.pad(mask, (0, reach, 0, reach))
    return nn.functional.max_pool2d(padded, reach + 1, 1)[:, 0]


def crop_each(tensor: Tensor, corners: Tensor, size: int) -> Tensor:
    """Cuts (B, C, size, size) out of (B, C, H, W), the top left corner of each given by (B, 2) rows and columns."""
    if size >= tensor.shape[-1]:
        return tensor
    pieces = [
        one[:, y : y + size, x : x + size] for one, (y, x) in zip(tensor.unbind(0), corners.tolist(), strict=True)
    ]
    return torch.stack(pieces).contiguous(memory_format=torch.channels_last)


def make_batch(
    frames: Tensor,
    count: int,
    stage: int,
    rng: np.random.Generator,
    crop: int,
    latent_dim: int,
    rows: np.ndarray | None = None,
) -> dict[str, Tensor]:
    """Draws what `CSIStep.forward` takes; everything random comes from `rng`. rows: these pictures, unflipped."""
    size = frames.shape[-1]
    picked = draw_frames(frames, count, rng) if rows is None else frames[torch.from_numpy(rows)]
    holes = [masks.training_mask(rng, size) for _ in range(count)]
    room = size - min(crop, size)
    if stage == 2:  # around a pixel of the hole
        centres = np.stack([_any_pixel(~hole, rng) for hole in holes])
        corners = np.clip(centres - rng.integers(0, min(crop, size), (count, 2)), 0, room)
    else:
        corners = rng.integers(0, room + 1, (count, 2))
    noise = rng.random((count, 3, size, size), dtype=np.float32) * 2.0 - 1.0
    return {
        "frames": picked,
        "mask": masks_to_tensor(holes),
        "noise": torch.from_numpy(noise),
        "eps": torch.from_numpy(rng.standard_normal((count, latent_dim), dtype=np.float32)),
        "prior": torch.from_numpy(rng.standard_normal((losses.PRIOR_SAMPLES, latent_dim), dtype=np.float32)),
        "crop": torch.from_numpy(corners),
    }


def _any_pixel(where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pixels = np.argwhere(where)
    return pixels[rng.integers(len(pixels))]


@torch.no_grad()
def validate(
    model: CSI, frames: Tensor, stage: int, settings: CSISettings, dataset_size: int, device
) -> dict[str, float]:
    """Mean figures over whole validation frames with fixed masks and noise."""
    step = CSIStep(model, stage, settings.replace(crop=(frames.shape[-1],) * 2, compile=False), dataset_size).eval()
    totals: dict[str, float] = {}
    rng = np.random.default_rng(0)
    chunks = np.array_split(np.arange(len(frames)), math.ceil(len(frames) / 64))
    for rows in chunks:
        batch = make_batch(frames, len(rows), stage, rng, frames.shape[-1], model.config.latent_dim, rows)
        for name, value in step(**{key: tensor.to(device) for key, tensor in batch.items()}).items():
            totals[name] = totals.get(name, 0.0) + float(value) * len(rows) / len(frames)
    return totals
