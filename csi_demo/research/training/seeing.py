"""Training the CSI that is shipped, in four stages; `csi-paper` trains the paper's two.

1 Encoder, trunk and forward stream, against a critic, with named latents (`critic.py`); 2 encoder and flow learn the
posterior (`posterior.py`); 3 the decoder learns to see the photo (`context.py`); 4 both streams learn holes, as the
paper's stage 2 (`csi.py`). A stage of 0 pictures is left out: with ``start`` training goes on from a folder of weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from ... import weights
from ...models.critic import MaskedCritic
from ...models.csi import CSI, CSIConfig, Encoder
from . import context, posterior
from .critic import NAMED, validate_fills
from .csi import CRITIC_NAMES, CRITICS, WEIGHT_FILES, CriticisedCSI, CSIRecipe, CSISettings, start_from
from .faces import FacePool

FILES = {"context": ("context.",), "flow": ("flow.",)} | WEIGHT_FILES
POSTERIOR, CONTEXT = 2, 3
PAPER = {1: 1, 4: 2}  # stages that are the paper's, and which
FLOW_LAYERS = 10
ENCODER_RATE = 0.3  # learning rate of the encoder in stage 2, relative to the flow's
CRITIC_RATE = 0.4  # learning rate of the critic in stage 3, relative to the decoder's


@dataclass(frozen=True)
class SeeingSettings(CSISettings):
    """How the shipped CSI is trained; see `CSISettings` for the paper's stages."""

    pictures: tuple[int, ...] = (680_000, 170_000, 175_000, 60_000)
    learning_rate: tuple[float, ...] = (4e-4, 1e-3, 9e-4, 3e-4)
    batch: int = 16
    critic_weight: float = 0.3
    critic_warmup: int = 8_000  # stage 3: pictures before the critics count
    whole: str = ""  # folders of 178x218 packs, with commas between them, that frames are cut from, too


class SeeingCSI(CriticisedCSI):
    """CSI, the critics that it is trained against, and the encoder that stage 2 starts from, whose latents of whole
    faces it learns."""

    def __init__(self, config: CSIConfig, critic_width: int):
        super().__init__(config, critic_width)
        self.masked_critic = MaskedCritic()
        self.whole_encoder = Encoder(config)

    def freeze_encoder(self) -> None:
        """Makes the encoder as it is the one that says what latents of whole faces are."""
        self.whole_encoder.load_state_dict(self.encoder.state_dict())
        self.whole_encoder.requires_grad_(False)


class SeeingRecipe(CSIRecipe):
    """The shipped CSI as the training loop sees it."""

    settings_type = SeeingSettings
    settings: SeeingSettings

    def __init__(self, settings: SeeingSettings, overrides: Mapping[str, Any]):
        super().__init__(
            settings, {"named": NAMED, "sees": True, "flow_layers": FLOW_LAYERS, "posterior_rank": 0, **overrides}
        )
        self.pool: FacePool | None = None

    def stages(self) -> tuple[int, ...]:
        return (1, POSTERIOR, CONTEXT, 4)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        if any(self.settings.pictures[POSTERIOR - 1 : CONTEXT]):
            self.pool = FacePool(data, [Path(folder) for folder in self.settings.whole.split(",") if folder])
        return super().read(data)

    def build(self) -> CSI:
        model = SeeingCSI(self.config, self.settings.critic_width)
        if self.settings.start:
            start_from(model, Path(self.settings.start))
        model.freeze_encoder()
        return model

    def begin(self, model: CSI, stage: int) -> None:
        if stage in PAPER:
            super().begin(model, PAPER[stage])
        elif stage == POSTERIOR:
            seeing(model).freeze_encoder()

    def groups(self, model: CSI, stage: int) -> list[dict[str, Any]]:
        if stage in PAPER:
            return super().groups(model, PAPER[stage])
        if stage == POSTERIOR:
            momentum, scales = 0.9, {model.flow: 1.0, model.encoder: ENCODER_RATE}
        else:
            momentum, scales = 0.5, {model.context: 1.0, seeing(model).masked_critic: CRITIC_RATE}
        return [
            {"params": list(own.parameters()), "scale": scale, "betas": (momentum, 0.99)}
            for own, scale in scales.items()
        ]

    def step(self, model: CSI, stage: int, dataset_size: int) -> nn.Module:
        if stage == CONTEXT:
            return context.ContextStep(model, seeing(model).masked_critic, self.frames)
        if stage == POSTERIOR:
            return posterior.PosteriorStep(model, seeing(model).whole_encoder)
        return super().step(model, PAPER[stage], dataset_size)

    def batch(self, model: CSI, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        if stage in PAPER:
            return super().batch(model, PAPER[stage], frames, count, rng)
        assert self.pool is not None, "read comes first"
        if stage == POSTERIOR:
            return posterior.draw_batch(self.pool, count, rng, self.config)
        ramp = context.ramp_after(self.seen, self.settings.critic_warmup)
        return context.draw_batch(self.pool, count, rng, self.config, ramp)

    def validate(self, model: CSI, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        if stage in PAPER:
            return super().validate(model, PAPER[stage], frames, dataset_size, device)
        if stage == CONTEXT:
            return validate_fills(model, frames, device)
        return posterior.validate(model, seeing(model).whole_encoder, frames)

    def export(self, model: CSI, metrics: Mapping[str, Any], folder: Path) -> None:
        state, critics = dict(model.state_dict()), folder.with_name(CRITICS)
        state = {name: tensor for name, tensor in state.items() if not name.startswith("whole_encoder.")}
        for name in CRITIC_NAMES:  # needed to go on training only
            own = {key.removeprefix(f"{name}."): state.pop(key) for key in list(state) if key.startswith(f"{name}.")}
            weights.save_model(critics / name, {}, own, metrics, {name: ("",)})
        weights.save_model(folder, self.config.to_dict(), state, metrics, FILES)


def seeing(model: nn.Module) -> SeeingCSI:
    """The model, which is one that this recipe built."""
    assert isinstance(model, SeeingCSI), type(model)
    return model
