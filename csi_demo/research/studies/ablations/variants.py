"""Variants of a small CSI for 32x32 pictures, on which the paper's claims are tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....methods import small_csi
from ....methods.small_csi import SIZE, SmallModel
from ....models.csi import CSIConfig

SMALL: dict[str, Any] = {
    "image_size": SIZE,
    "latent_dim": 32,
    "posterior_rank": 0,
    "decoder_channels": (),
    "resized_steps": 0,
    "encoder_channels": (16, 24, 24),
    "bottleneck": 32,
    "map_channels": 8,
    "filters": 20,
    "blocks": 3,
    "mixtures": 5,
}


@dataclass(frozen=True)
class Variant(SmallModel):
    """config: what differs from `SMALL`. start: the variant whose finished stage 1 it goes on from. scratch: stage 2 is
    all its training, and has the pictures of both. one_stage: as `CSISettings` has it."""

    config: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[int, ...] = (1, 2)
    start: str = ""
    scratch: bool = False
    one_stage: bool = False


OBJECTIVES = tuple(
    Variant(objective, label, config={"objective": objective, "reverse_stream": False}, stages=(1,))
    for objective, label in (
        ("vae", "VAE"),
        ("beta-tcvae", "β-TCVAE"),
        ("info-beta-tcvae", "Info-β-TCVAE"),
        ("mmd", "InfoVAE-MMD"),
    )
)
TWO_STAGE = Variant(**vars(small_csi.TWO_STAGE), stages=(2,), start="mmd")
ONE_STAGE = Variant(**vars(small_csi.ONE_STAGE), stages=(2,), scratch=True, one_stage=True)
FORWARD_ONLY = Variant(**vars(small_csi.FORWARD_ONLY), config={"reverse_stream": False}, stages=(2,), start="mmd")
NO_LATENTS = Variant(**vars(small_csi.NO_LATENTS), config={"latent_dim": 0}, stages=(2,), scratch=True)
BLOCKS_1 = Variant("blocks-1", "1 block", config={"blocks": 1})
BLOCKS_5 = Variant("blocks-5", "5 blocks", config={"blocks": 5})
VARIANTS = (*OBJECTIVES, TWO_STAGE, FORWARD_ONLY, ONE_STAGE, NO_LATENTS, BLOCKS_1, BLOCKS_5)


def config_of(variant: Variant) -> CSIConfig:
    """The model of a variant."""
    return CSIConfig(**(SMALL | dict(variant.config)))
