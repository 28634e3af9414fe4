"""Training small variants of CSI, of IAN or of the Gated PixelCNN alike, one after another."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from ... import weights
from ...methods.small_csi import SIZE
from ...models.csi import CSI
from ..studies.ablations import introspective
from ..studies.ablations.autoregressive import variants as autoregressive
from ..studies.ablations.variants import VARIANTS, Variant, config_of
from . import loop
from .csi import CSIRecipe, CSISettings
from .gated_pixelcnn import GatedPixelCNNRecipe, GatedPixelCNNSettings
from .ian import IANRecipe, IANSettings
from .pixelcnn_autoencoder import AutoencoderRecipe, AutoencoderSettings

PICTURES = (80_000, 60_000)  # that every variant of CSI sees in each stage, unless told otherwise
IAN_PICTURES = (80_000,)
PIXELCNN_PICTURES = (sum(PICTURES),)
WHOLE_PICTURES = (48_000,)  # that a variant of the Gated PixelCNN sees that draws whole faces
BATCH = 16  # few pictures, so small batches: of 40 000 pictures these make 0.3 bits per dim less than batches of 32


class VariantRecipe(CSIRecipe):
    """A variant as the training loop sees it; it is stored beside its checkpoint."""

    name = "."

    def __init__(self, variant: Variant, pictures: tuple[int, ...], folder: Path):
        budget = (0, sum(pictures)) if variant.scratch else pictures
        base = CSISettings(pictures=budget, batch=BATCH, crop=(24, 24), feature_weight=0.0)
        if variant.scratch:  # nothing is carried over that a smaller rate would have to spare
            base = base.replace(learning_rate=base.learning_rate[:1] * 2, context_rate=1.0)
        settings = base.replace(one_stage=variant.one_stage)
        super().__init__(settings, config_of(variant).to_dict())
        self.variant, self.folder = variant, folder

    def stages(self) -> tuple[int, ...]:
        return self.variant.stages

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        return _pictures(data)

    def build(self) -> CSI:
        model = CSI(self.config)
        if self.variant.start:
            carried = weights.load_state(self.variant.start, self.folder)
            left = set(model.state_dict()) - set(carried)
            model.load_state_dict(model.state_dict() | carried)
            assert all(name.startswith(("reverse_stream.", "from_context.")) for name in left), left
            self.begin(model, 2)
        return model


class IANVariantRecipe(IANRecipe):
    """A variant of IAN likewise. What it learns from is as in the paper: no face network helps."""

    name = "."

    def __init__(self, variant: introspective.Variant, pictures: tuple[int, ...], folder: Path):
        settings = IANSettings(
            pictures=pictures, batch=BATCH, seed=variant.seed, deep_feature_weight=0.0, val_pictures=128
        )
        if not variant.orthogonal:
            settings = settings.replace(orthogonal_weight=0.0)
        super().__init__(settings, variant.config().to_dict())
        self.variant, self.folder = variant, folder

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        return _pictures(data)


class PixelCNNVariantRecipe(GatedPixelCNNRecipe):
    """A variant of the Gated PixelCNN likewise."""

    name = "."

    def __init__(self, variant: autoregressive.Variant, pictures: tuple[int, ...], folder: Path):
        settings = GatedPixelCNNSettings(
            pictures=pictures,
            batch=BATCH,
            crop=autoregressive.CROP,
            learning_rate=(1.5e-3,),
            picked=96 if variant.overrides()["head"] == "softmax" else 384,  # 256 levels cost more than all else
            whole=float(variant.whole),
        )
        super().__init__(settings, variant.overrides())
        self.variant, self.folder = variant, folder


class AutoencoderVariantRecipe(AutoencoderRecipe):
    """An autoencoder likewise."""

    name = "."

    def __init__(self, variant: autoregressive.Variant, pictures: tuple[int, ...], folder: Path):
        super().__init__(AutoencoderSettings(pictures=pictures, batch=BATCH), variant.autoencoder().to_dict())
        self.variant, self.folder = variant, folder

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        return _pictures(data)


AnyRecipe = VariantRecipe | IANVariantRecipe | PixelCNNVariantRecipe | AutoencoderVariantRecipe


def recipes_of(model: str, folder: Path, pictures: tuple[int, ...] | None = None) -> Sequence[AnyRecipe]:
    """Those of all variants of CSI, of IAN or of the Gated PixelCNN, "csi", "ian" or "pixelcnn", in the order in which
    they are to be trained.

    pictures: in every stage; a variant of CSI with one stage alone gets those of both. None: `PICTURES`,
    `IAN_PICTURES`, or `PIXELCNN_PICTURES` and `WHOLE_PICTURES`.
    """
    if model == "pixelcnn":
        return [
            PixelCNNVariantRecipe(one, pictures or (WHOLE_PICTURES if one.whole else PIXELCNN_PICTURES), folder)
            for one in (*autoregressive.COMPLETIONS, *autoregressive.CONDITIONED)
        ] + [AutoencoderVariantRecipe(one, pictures or WHOLE_PICTURES, folder) for one in autoregressive.AUTOENCODERS]
    if model == "ian":
        return [IANVariantRecipe(one, pictures or IAN_PICTURES, folder) for one in introspective.VARIANTS]
    return [VariantRecipe(one, pictures or PICTURES, folder) for one in VARIANTS]


@lru_cache(1)
def _pictures(data: Path) -> tuple[Tensor, Tensor]:
    """Training and validation pictures, read once for all variants."""
    return CSIRecipe(CSISettings(), {"image_size": SIZE, "latent_dim": 0}).read(data)


def train_missing(
    recipes: Sequence[AnyRecipe], data: Path, *, minutes: float | None = None, device: str = "auto"
) -> list[str]:
    """Trains every variant that is not finished, one after another, each until it has seen its pictures.

    minutes: of all together; the same call goes on. Returns the names of those that are left. Raises as `loop.train`,
    and TrainingError for variants that were begun with other numbers of pictures.
    """
    end = time.monotonic() + 60.0 * minutes if minutes is not None else math.inf
    left = [recipe for recipe in recipes if not _finished(recipe)]
    for recipe in list(left):
        remaining = (end - time.monotonic()) / 60.0
        if remaining <= 0.0:
            break
        print(f"{recipe.variant.name}: {' + '.join(f'{recipe.settings.pictures[s - 1]:,}' for s in recipe.stages())}")
        loop.train(
            recipe,
            data,
            recipe.folder / recipe.variant.name,
            resume=True,
            minutes=remaining if minutes is not None else None,
            device=device,
        )
        if not _finished(recipe):
            break
        left.remove(recipe)
    return [recipe.variant.name for recipe in left]


def _finished(recipe: AnyRecipe) -> bool:
    name = recipe.variant.name
    if not weights.available(name, recipe.folder):
        return False
    training = weights.read_metrics(name, recipe.folder)["training"]
    if tuple(training["settings"]["pictures"]) != recipe.settings.pictures:
        raise loop.TrainingError(
            f"{recipe.folder / name} was begun with pictures={training['settings']['pictures']}: use another --weights"
        )
    last = recipe.stages()[-1]
    return training["pictures_per_stage"].get(str(last), 0) >= recipe.settings.pictures[last - 1]
