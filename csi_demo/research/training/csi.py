"""Training CSI in two stages (CSI, sections 3 and 4).

Stage 1 explains the whole picture from z with the forward stream (equation 1); stage 2 freezes encoder and decoder and
trains both streams on the hole's pixels given the context and z (equation 4). The PixelCNNs see crops: they model
details only, and a crop costs a fraction of a picture. Pictures are averaged down to the model's size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import masks, weights
from ...data import read_split, shrink
from ...methods.csi.places import TURN
from ...models.critic import Critic, CriticConfig
from ...models.csi import CSI, CSIConfig
from ...pixels import to_float
from . import losses
from .batches import MaskPool, any_of, draw_frames, generator
from .loop import Recipe, Settings
from .starting import take_over

LN2 = math.log(2.0)
WEIGHT_FILES = {"encoder": ("encoder.",), "decoder": ("decoder.", "rgb_head."), "pixelcnn": ("",)}
CRITIC_NAMES = "critic", "masked_critic"
CRITICS = "critics"  # folder beside the models: what training was against, needed to go on with it only
WHOLE_SIGMA = 0.15  # noise on the latents of whole faces: how finely a latent is told from another


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
    critic_weight: float = 0.0  # stage 1: of a critic on that picture (see `critic`); 0: the paper's way
    critic_width: int = 64
    start: str = ""  # a folder of weights: tensors of its csi with the same name and shape are started from
    whole_rate: float = 0.5  # stage 2: share of pictures whose latents come from all of the picture
    features: str = "faces"  # as `DeepFeatures` has it
    one_stage: bool = False  # everything learns in stage 2, the latents from the hole's pixels alone (appendix C.3)


class CSIRecipe(Recipe[CSISettings, CSIConfig]):
    """CSI as the training loop sees it."""

    name = "csi"
    unit = "bits per dim"
    settings_type, config_type = CSISettings, CSIConfig

    def __init__(self, settings: CSISettings, overrides: Mapping[str, Any]):
        if settings.critic_weight and "named" not in overrides:
            from .critic import NAMED

            overrides = {"named": NAMED, **overrides}
        super().__init__(settings, overrides)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        train, val = (shrink(read_split(data, split), self.config.image_size) for split in ("train", "val"))
        self.frames = train
        return train, val

    def build(self) -> CSI:
        model = CriticisedCSI(self.config, self.settings.critic_width) if self._criticised() else CSI(self.config)
        if self.settings.start:
            start_from(model, Path(self.settings.start))
        return model

    def _criticised(self) -> bool:
        return self.settings.critic_weight > 0.0 and 1 in self.stages()

    def stages(self) -> tuple[int, ...]:
        return (1, 2) if self.config.latent_dim and not self.settings.one_stage else (2,)

    def begin(self, model: CSI, stage: int) -> None:
        if stage == 2 and self.config.reverse_stream and self.config.latent_dim and not self.settings.start:
            model.start_reverse_stream()

    def groups(self, model: CSI, stage: int) -> list[dict[str, Any]]:
        if stage == 1 and self._criticised():
            return [group | {"betas": (0.0, 0.99)} for group in super().groups(model, stage)]
        new: list[nn.Parameter] = []
        carried: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                fresh = stage == 2 and name.startswith(("reverse_stream.", "from_context."))
                (new if fresh else carried).append(parameter)
        groups = [{"params": carried, "scale": 1.0}, {"params": new, "scale": self.settings.context_rate}]
        return [group for group in groups if group["params"]]

    def step(self, model: CSI, stage: int, dataset_size: int) -> nn.Module:
        if stage == 1 and isinstance(model, CriticisedCSI):
            from .critic import CriticStep

            return CriticStep(model, self.settings, self.frames)
        return CSIStep(model, stage, self.settings, dataset_size)

    def batch(self, model: CSI, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        if stage == 1 and self._criticised():
            from .critic import draw_batch

            return draw_batch(frames, count, generator(rng, frames.device), rng, self.config, self.settings)
        rate = self.settings.whole_rate if stage == 2 and not self.settings.one_stage else 0.0
        return make_batch(frames, count, stage, rng, self.settings.crop[stage - 1], self.config, whole_rate=rate)

    def validate(self, model: CSI, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        if stage == 1 and self._criticised():
            from .critic import validate_fills

            return validate_fills(model, frames, device)
        return validate(model, frames, stage, self.settings, dataset_size, device)

    def export(self, model: CSI, metrics: Mapping[str, Any], folder: Path) -> None:
        state = dict(model.state_dict())
        critic = {name.removeprefix("critic."): state.pop(name) for name in list(state) if name.startswith("critic.")}
        if isinstance(model, CriticisedCSI):  # needed to go on training only
            config = model.critic.config.to_dict()
            weights.save_model(folder.with_name(CRITICS) / "critic", config, critic, metrics, {"critic": ("",)})
        weights.save_model(folder, self.config.to_dict(), state, metrics, WEIGHT_FILES)


class CriticisedCSI(CSI):
    """CSI and the critic that it is trained against."""

    def __init__(self, config: CSIConfig, critic_width: int):
        super().__init__(config)
        scores = sum(name != TURN for name in config.named)
        self.critic = Critic(CriticConfig(critic_width, scores))


def start_from(model: nn.Module, folder: Path) -> None:
    """Takes over the tensors of a folder of weights that have the name and the shape of the model's: of "csi", and of
    the critics beside it, where it has any. Raises WeightsError for a folder that is damaged or has none."""
    take_over(model, weights.load_state("csi", folder), str(folder))
    for name in CRITIC_NAMES:
        if hasattr(model, name) and weights.available(critic := f"{CRITICS}/{name}", folder):
            take_over(getattr(model, name), weights.load_state(critic, folder), critic)


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

    def forward(
        self,
        frames: Tensor,
        mask: Tensor,
        noise: Tensor,
        eps: Tensor,
        prior: Tensor,
        crop: Tensor,
        whole: Tensor | None = None,
    ) -> dict:
        """frames: uint8 (B, 3, H, W); mask (B, 1, H, W); noise (B, 3, H, W); eps (B, z + rank); prior (256, z);
        crop (B, 2); whole: boolean (B,), whose latents come from the whole picture.

        Returns scalars; "loss" is the one to minimise, in bits per dim.
        """
        config, terms = self.model.config, {}
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        maps = None
        if config.latent_dim:
            with torch.set_grad_enabled(self.infers and torch.is_grad_enabled()):
                posterior = self.model.encode(x, mask, noise)
                z = posterior.draw(eps)
                if whole is not None:
                    mean = self.model.encode(x, torch.ones_like(mask), noise).mean
                    z = torch.where(whole[:, None], mean + WHOLE_SIGMA * eps[:, : mean.shape[1]], z)
                maps = self.model.decode(z)
        size = min(self.settings.crop[self.stage - 1], config.image_size)
        x_crop, mask_crop = crop_each(x, crop, size), crop_each(mask, crop, size)
        maps_crop = crop_each(maps, crop, size) if maps is not None else None
        if self.stage == 1:
            assert maps is not None, "stage 1 trains the encoder: a model without latents has stage 2 only"
            terms["bits"] = self.nll(x_crop, maps_crop, None).mean() / (3.0 * LN2)
            rgb = self.model.picture(maps)
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
                posterior.mean,
                posterior.log_variance,
                prior,
                weight=config.regulariser_weight,
                tc_beta=config.tc_beta,
                dataset_size=self.dataset_size,
                dims=x[0].numel(),
            )
            terms["loss"] = terms["loss"] + terms["regulariser"]
        if config.latent_dim:
            terms["posterior_sigma"] = posterior.sigma.mean()
            terms["mean_spread"] = posterior.mean.std(0, correction=min(1, len(z) - 1)).mean()
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
    channels, width = tensor.shape[1], tensor.shape[3]
    if size >= width:
        return tensor
    steps = torch.arange(size, device=tensor.device)
    rows, columns = (corners[:, axis, None] + steps for axis in (0, 1))  # 2 x (B, size)
    places = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # (B, size * size)
    cut = tensor.flatten(2).gather(2, places[:, None].expand(-1, channels, -1))
    return cut.unflatten(2, (size, size)).contiguous(memory_format=torch.channels_last)


@cache
def training_masks(size: int) -> MaskPool:
    """Masks of the training distribution for pictures of this size."""
    return MaskPool(lambda rng: masks.training_mask(rng, size))


def make_batch(
    frames: Tensor,
    count: int,
    stage: int,
    rng: np.random.Generator,
    crop: int,
    config: CSIConfig,
    rows: Tensor | None = None,
    whole_rate: float = 0.0,
) -> dict[str, Tensor]:
    """Draws what `CSIStep.forward` takes; everything random comes from `rng`. rows: these pictures, unflipped."""
    size, device = frames.shape[-1], frames.device
    picked = draw_frames(frames, count, rng) if rows is None else frames[rows]
    draw = generator(rng, device)
    hidden = training_masks(size).draw(count, draw)
    inside = min(crop, size)
    room = size - inside
    if stage == 2:  # around a pixel of the hole
        pixel = any_of(1.0 - hidden.flatten(1), draw)
        centres = torch.cat((pixel // size, pixel % size), 1)
        offsets = torch.randint(0, inside, (count, 2), generator=draw, device=device)
        corners = (centres - offsets).clamp(0, room)
    else:
        corners = torch.randint(0, room + 1, (count, 2), generator=draw, device=device)
    latents = config.latent_dim
    batch = {
        "frames": picked,
        "mask": hidden,
        "noise": torch.rand((count, 3, size, size), generator=draw, device=device) * 2.0 - 1.0,
        "eps": torch.randn((count, latents + config.posterior_rank), generator=draw, device=device),
        "prior": torch.randn((losses.PRIOR_SAMPLES, latents), generator=draw, device=device),
        "crop": corners,
    }
    if whole_rate and latents:
        batch["whole"] = torch.rand(count, generator=draw, device=device) < whole_rate
    return batch


@torch.no_grad()
def validate(
    model: CSI, frames: Tensor, stage: int, settings: CSISettings, dataset_size: int, device
) -> dict[str, float]:
    """Mean figures over whole validation frames with fixed masks and noise."""
    step = CSIStep(model, stage, settings.replace(crop=(frames.shape[-1],) * 2, compile=False), dataset_size).eval()
    totals: dict[str, float] = {}
    rng = np.random.default_rng(0)
    for rows in torch.arange(len(frames)).split(64):
        batch = make_batch(frames, len(rows), stage, rng, frames.shape[-1], model.config, rows)
        for name, value in step(**{key: tensor.to(device) for key, tensor in batch.items()}).items():
            totals[name] = totals.get(name, 0.0) + float(value) * len(rows) / len(frames)
    return totals
