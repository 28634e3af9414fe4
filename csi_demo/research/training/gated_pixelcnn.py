"""Training the Gated PixelCNN on the pixels of holes, given their context and what is known of the face.

The context network sees whole pictures; the stacks see crops around the hole, for they model details only. Of a crop's
pixels some are picked for the loss: neighbours say nearly the same, and 256 levels a channel cost more than the stacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ... import masks, weights
from ...data import read_split, shrink
from ...methods.attributes import SLIDERS
from ...methods.csi.places import GOOD_PART, REGIONS
from ...models.dcgan import DCGANConfig, Discriminator
from ...models.gated_pixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from ...models.level_heads import SoftmaxHead
from ...pixels import FRAME, to_float
from ..metrics.features import face_network
from ..metrics.labels import FaceLabels, embeddings
from .batches import draw_rows, generator, mirrored, some_unknown
from .csi import near_later_context, training_masks
from .loop import Recipe, Settings
from .losses import AttributeScores, FaceFeatures, random_views
from .starting import start_from

LN2 = math.log(2.0)
TINT = 20.0  # weight of the squared change of colours, where an attribute is set, against the cross-entropy
UNSCORED = (  # attributes for which the face network takes mere patterns, so that they are not set
    "Eyeglasses",
    *("No_Beard", "Mustache", "Goatee", "5_o_Clock_Shadow", "Double_Chin"),
    *("Wearing_Lipstick", "Big_Lips", "Big_Nose", "Pointy_Nose", "Wavy_Hair", "Heavy_Makeup"),
    *("Arched_Eyebrows", "Bushy_Eyebrows", "Bags_Under_Eyes", "Male", "Young"),
)
PENALISED = 0.25  # share of the steps in which the critic's gradient is penalised, weighted up accordingly
CONTEXT = ("context.", "embed.", "head.from_context.")
ENDS = ("vertical_input.", "horizontal_input.", "head.out.")


@dataclass(frozen=True)
class GatedPixelCNNSettings(Settings):
    """How a Gated PixelCNN is trained; the loss is in bits per dim of the hole's pixels."""

    pictures: tuple[int, ...] = (400_000,)
    learning_rate: tuple[float, ...] = (1e-3,)
    crop: int = 32  # side of what the stacks see
    picked: int = 384  # pixels of a crop that count in a step
    edge_weight: float = 2.0  # how much more a hole pixel counts that has context close below or right of it
    context_weight: float = 0.5  # of the loss on the context's logits alone
    sketch_weight: float = 0.3  # of the loss on the context's own picture of the whole hole
    feature_weight: float = 0.0  # of the distance of that picture in deep features: what is likely alone is blurred
    obey_weight: float = (
        0.0  # of the cross-entropy of an attribute that was set alone, as the face network sees that picture
    )
    critic_weight: float = 0.0  # of a critic on that picture pasted into the photo, as it is and with what was set
    critic_rate: float = 0.3  # of the learning rate, for that critic, which begins as DCGAN's discriminator
    penalty: float = 0.1  # weight of half the squared gradient of its logit at real pictures
    stacks: bool = True  # whether the stacks learn, too, or the context network alone
    unknown: float = 0.1  # share of faces of whom nothing is known, for guidance
    unknown_each: float = 0.1  # chance of any one attribute to be unknown
    few: float = 0.0  # share of faces of whom only a few attributes are known, as where sliders set them
    single: float = 0.0  # share of faces that are drawn for one attribute, to either side of it, which alone is known
    whole: float = 0.0  # share of pictures whose hole is everything
    muon: bool = False  # whether the stacks are moved by Muon, in place of Adam
    context_rate: float = 0.2  # then, of the learning rate, for the context network
    start: str = ""  # a model or a folder of weights to go on from

    @property
    def looks(self) -> bool:
        """Whether networks look at the context's prediction."""
        return bool(self.feature_weight or self.obey_weight or self.critic_weight)


class GatedPixelCNNRecipe(Recipe[GatedPixelCNNSettings, GatedPixelCNNConfig]):
    """The Gated PixelCNN as the training loop sees it."""

    name = "pixelcnn"
    unit = "bits per dim"
    settings_type, config_type = GatedPixelCNNSettings, GatedPixelCNNConfig

    def __init__(self, settings: GatedPixelCNNSettings, overrides: Mapping[str, Any]):
        network = face_network().config
        condition = overrides.get("condition", "attributes")
        width = network.channels[-1] if condition == "embedding" else len(network.names)
        names = network.names if condition == "attributes" else ()
        fields: dict[str, Any] = {"names": names, "condition_dim": width}
        super().__init__(settings, fields | dict(overrides))
        if settings.looks and (self.config.image_size, self.config.head) != (FRAME, "softmax"):
            raise ValueError(f"feature_weight, obey_weight and critic_weight need image_size={FRAME} and head=softmax")
        self.known: dict[int, Tensor] = {}
        self.homes = homes(self.config)
        self.scored = self.homes.clone()  # of the attributes that are set
        self.scored[[index for index, name in enumerate(self.config.names) if name in UNSCORED]] = 0.0

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        """Pictures at 64 pixels, whatever the model's size: the face network sees those."""
        if self.config.condition == "attributes":
            self.labels, self.held_out_labels = (
                FaceLabels(data, split, self.config.names) for split in ("train", "val")
            )
        return read_split(data, "train"), read_split(data, "val")

    def build(self) -> GatedPixelCNN:
        if not self.settings.critic_weight:
            model = GatedPixelCNN(self.config)
        else:
            model = CriticisedGatedPixelCNN(self.config)
            start = Path(self.settings.start).resolve()
            beside = start.with_name("critic") if self.settings.start and start.is_dir() else None
            start_from(model, str(beside) if beside and beside.is_dir() else "dcgan")
        if self.settings.start:
            start_from(model, self.settings.start)
        return model

    def groups(self, model: GatedPixelCNN, stage: int) -> list[dict[str, Any]]:
        """Muon is for the stacks, features to features. What touches pixels or levels is left to Adam, and so is the
        context network, which forgets faces where it is moved as far as stacks need it."""
        found: dict[str, list[nn.Parameter]] = {"matrices": [], "others": [], "context": [], "critic": []}
        for name, parameter in model.named_parameters():
            inner = self.settings.muon and parameter.dim() >= 2 and not name.startswith(ENDS)
            kind = "matrices" if inner else "others"
            if name.startswith("discriminator."):
                kind = "critic"
            elif self.settings.muon and name.startswith(CONTEXT):
                kind = "context"
            found[kind].append(parameter)
        groups = [
            {"params": found["matrices"], "scale": 1.0, "orthogonal": True},
            {"params": found["others"], "scale": 1.0},
            {"params": found["context"], "scale": self.settings.context_rate},
            {"params": found["critic"], "scale": self.settings.critic_rate, "betas": (0.0, 0.99)},
        ]
        return [group for group in groups if group["params"]]

    def step(self, model: GatedPixelCNN, stage: int, dataset_size: int) -> GatedPixelCNNStep:
        return GatedPixelCNNStep(model, self.settings)

    def conditions(self, model: GatedPixelCNN, frames: Tensor, held_out: bool) -> Tensor:
        """y (N, A) of all these pictures, found once; an embedding's mean and scale become the model's."""
        key = int(held_out)
        if key not in self.known:
            if self.config.condition == "attributes":
                known = self.held_out_labels if held_out else self.labels
                self.known[key] = known.of(frames, self.labels.log_odds())
            elif self.config.condition == "embedding":
                self.known[key] = embeddings(frames)
                if not held_out:
                    model.condition_mean.copy_(self.known[key].mean(0))
                    model.condition_scale.copy_(self.known[key].std(0).clamp(min=1e-4))
            else:
                self.known[key] = frames.new_zeros((len(frames), self.config.condition_dim), dtype=torch.float32)
        return self.known[key]

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        draw = generator(rng, frames.device)
        values = self.conditions(model, frames, held_out=False)
        picked, rows = draw_rows(frames, count, draw)
        few = self.settings.few if self.config.condition == "attributes" else 0.0
        known = some_unknown((count, values.shape[1]), self.settings.unknown, self._each, draw, few)
        if self.config.condition == "none":
            known = torch.zeros_like(known)
        if self.settings.single:
            rows, known = self._singled_out(values, rows, known, draw)
            picked = mirrored(frames[rows], draw)
        return self._around(picked, values[rows], known, draw)

    def _singled_out(self, values: Tensor, rows: Tensor, known: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which faces (B) are taken and what of them is known (B, A), some of them drawn anew for one attribute with a
        slider. As many go to one side of it as to the other, which sliders ask for and few faces may have."""
        rows, known = rows.clone(), known.clone()
        steered = self.homes.to(values).sum(1).nonzero().flatten()
        for index in (torch.rand(len(rows), generator=draw, device=rows.device) < self.settings.single).nonzero():
            which, side = torch.randint(len(steered), (2,), generator=draw, device=rows.device)
            attribute = steered[which]
            fitting = ((values[:, attribute] > 0.0) == (side % 2 > 0)).nonzero().flatten()
            if len(fitting):
                chosen = torch.randint(len(fitting), (1,), generator=draw, device=rows.device)
                rows[index], known[index] = fitting[chosen], torch.zeros_like(known[index])
                known[index, attribute] = 1.0
        return rows, known

    @property
    def _each(self) -> float:
        return self.settings.unknown_each if self.config.condition == "attributes" else 0.0

    def _around(self, frames: Tensor, y: Tensor, known: Tensor, draw: torch.Generator) -> dict[str, Tensor]:
        count, size = len(frames), self.config.image_size
        crop = min(self.settings.crop, size)
        mask = training_masks(size).draw(count, draw)
        whole = torch.rand(count, 1, 1, 1, generator=draw, device=draw.device) < self.settings.whole
        mask = mask.masked_fill(whole, 0.0)
        chance = torch.rand(count, size * size, generator=draw, device=draw.device)
        centre = (chance * (1.0 - mask.flatten(1))).argmax(1)
        shift = torch.randint(crop, (count, 2), generator=draw, device=draw.device)
        corner = torch.stack((centre // size, centre % size), 1) - shift
        lottery = torch.rand(count, crop * crop, generator=draw, device=draw.device)
        views = random_views(count, draw)
        homes = self.scored.to(mask)
        shown = (1.0 - mask).flatten(1) @ homes.T > homes.sum(1).clamp(min=1.0) * GOOD_PART
        chance = torch.rand(shown.shape, generator=draw, device=draw.device) * shown
        chosen = chance.argmax(1, keepdim=True)
        degree = 0.5 + 0.5 * torch.rand(count, 1, generator=draw, device=draw.device)  # to the other side
        setting = torch.where(y.gather(1, chosen) > 0.0, -degree, degree)
        set_so = torch.zeros_like(y).scatter(1, chosen, 1.0) * (chance.amax(1, keepdim=True) > 0.0)
        return {
            "frames": shrink(frames, size),
            "mask": mask,
            "y": y,
            "known": known,
            "corner": corner.clamp(0, size - crop),
            "lottery": lottery,
            "views": views,
            "set_so": set_so,
            "setting": setting,
            "penalised": torch.tensor(bool(torch.rand((), generator=draw, device=draw.device) < PENALISED)),
        }

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        """Bits per dim on fixed crops of fixed holes, all of a face known and nothing."""
        frames = frames.to(device)
        values = self.conditions(model, frames, held_out=True)
        whole = self.settings.replace(picked=self.settings.crop**2, compile=False)
        step, totals = GatedPixelCNNStep(model, whole).eval(), dict[str, float]()
        rng = np.random.default_rng(0)
        for part, y in zip(frames.split(32), values.split(32), strict=True):
            known = torch.ones_like(y) if self.config.condition != "none" else torch.zeros_like(y)
            batch = self._around(part, y, known, generator(rng, part.device))
            for name, value in step(**batch).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(part) / len(frames)
        return totals

    def export(self, model: Any, metrics: Mapping[str, Any], folder: Path) -> None:
        state = dict(model.state_dict())
        critic = {name: state.pop(name) for name in list(state) if name.startswith("discriminator.")}
        weights.save_model(folder, self.config.to_dict(), state, metrics, {"pixelcnn": ("",)})
        if critic:  # needed to go on training only
            weights.save_model(folder.with_name("critic"), {}, critic, metrics, {"critic": ("",)})


def homes(config: GatedPixelCNNConfig) -> Tensor:
    """Where each attribute of y shows, (A, H W), 1 = there; nowhere for those that no slider is for."""
    size, found = config.image_size, torch.zeros(config.condition_dim, config.image_size, config.image_size)
    for index, name in enumerate(config.names):
        if name in SLIDERS and size == FRAME:
            found[index] = torch.from_numpy(~masks.box(*REGIONS[SLIDERS[name][1]]))
    return found.flatten(1)


class CriticisedGatedPixelCNN(GatedPixelCNN):
    """The Gated PixelCNN and the critic that its context network is trained against."""

    def __init__(self, config: GatedPixelCNNConfig):
        super().__init__(config)
        self.discriminator = Discriminator(DCGANConfig().discriminator_width)


class GatedPixelCNNStep(nn.Module):
    """The loss on one batch; the module that is wrapped for distributed training."""

    look: FaceFeatures | None
    scores: AttributeScores | None

    def __init__(self, model: GatedPixelCNN, settings: GatedPixelCNNSettings):
        super().__init__()
        self.model, self.settings = model, settings
        self.features, self.nll = model.features, model.head.nll
        self.look = FaceFeatures() if settings.feature_weight else None
        self.scores = AttributeScores(model.config.names, keep=False) if settings.obey_weight else None
        if settings.compile:
            model.context.compile()
            self.features, self.nll = torch.compile(model.features), torch.compile(model.head.nll)

    def forward(
        self,
        frames: Tensor,
        mask: Tensor,
        y: Tensor,
        known: Tensor,
        corner: Tensor,
        lottery: Tensor,
        views: Tensor,
        set_so: Tensor,
        setting: Tensor,
        penalised: Tensor,
    ) -> dict[str, Tensor]:
        """The losses of a batch, by name.

        frames: uint8 (B, 3, H, W); mask (B, 1, H, W); y, known (B, A); corner (B, 2), of the crops; lottery
        (B, crop * crop), uniform: hole pixels with high numbers count; views (B, 2, 3); set_so (B, A),
        one-hot or nothing, and setting (B, 1): an attribute that shows in the hole, set to the other side; penalised
        (), whether the critic's gradient is, now."""
        model, settings = self.model, self.settings
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        maps, h = model.conditions(x, mask, y, known)
        places = maps.permute(0, 2, 3, 1).float()
        drawn = model.head.sketch_nll(x.permute(0, 2, 3, 1), places)  # (B, H, W)
        sketch = (drawn * (1.0 - mask[:, 0])).sum() / (3.0 * LN2 * (1.0 - mask).sum())
        found = {"loss": settings.sketch_weight * sketch, "sketch_bits": sketch}
        if settings.looks:
            looked_at = self._looked_at(x, mask, maps, views, set_so, setting, bool(penalised))
            found |= looked_at | {"loss": found["loss"] + looked_at["loss"]}
        return found | self._of_stacks(x, mask, maps, h, corner, lottery, found["loss"]) if settings.stacks else found

    def _looked_at(
        self, x: Tensor, mask: Tensor, maps: Tensor, views: Tensor, set_so: Tensor, setting: Tensor, penalised: bool
    ) -> dict[str, Tensor]:
        """Of a batch as above with its maps (B, M, H, W). What networks say of the pictures that the context has in
        mind, as they are and with what was set."""
        settings, means = self.settings, self.sketch(x, mask, maps)
        found, pictures = {"loss": torch.zeros((), device=x.device)}, [means]
        if self.look is not None:
            found["deep"] = self.look(means, x, views)
            found["loss"] = found["loss"] + settings.feature_weight * found["deep"]
        if self.scores is not None:
            moved = self.sketch(x, mask, self.model.conditions(x, mask, set_so * setting, set_so)[0])
            # Single pixels are free, and would be bent to patterns that only a network takes for glasses.
            scores = self.scores(x, F.avg_pool2d(moved, 3, 1, 1, count_include_pad=False), set_so, setting, views)
            found |= scores
            found["loss"] = found["loss"] + settings.obey_weight * (scores["disobeyed"] + TINT * scores["recoloured"])
            pictures.append(moved)
        if settings.critic_weight:
            found |= self._criticised(x, torch.cat(pictures), penalised)
            found["loss"] = found["loss"] + settings.critic_weight * found["fooled"] + found["critic"]
        return found

    def _criticised(self, x: Tensor, drawn: Tensor, penalised: bool) -> dict[str, Tensor]:
        """Both players' losses as DCGAN's: pictures x (B, 3, H, W) and drawn ones (k B, 3, H, W)."""
        critic = cast(CriticisedGatedPixelCNN, self.model).discriminator
        with torch.autocast(x.device.type, enabled=not penalised):
            real = x.detach().clone().requires_grad_(penalised)
            verdict = critic(real).float()
            told = F.softplus(-verdict).mean() + F.softplus(critic(drawn.detach()).float()).mean()
            if penalised:
                (slope,) = torch.autograd.grad(verdict.sum(), real, create_graph=True)
                told = told + 0.5 * self.settings.penalty / PENALISED * slope.square().sum((1, 2, 3)).mean()
        fixed = {name: parameter.detach() for name, parameter in critic.named_parameters()}
        fooled = F.softplus(-functional_call(critic, fixed, (drawn,)).float()).mean()
        return {"critic": told, "fooled": fooled}

    def sketch(self, x: Tensor, mask: Tensor, maps: Tensor) -> Tensor:
        """Masked pictures (B, 3, H, W) with the context's prediction in their holes; maps (B, M, H, W)."""
        means, _ = cast(SoftmaxHead, self.model.head).sketch(maps.permute(0, 2, 3, 1).float())
        return torch.where(mask > 0.5, x, means.permute(0, 3, 1, 2))

    def _of_stacks(
        self, x: Tensor, mask: Tensor, maps: Tensor, h: Tensor, corner: Tensor, lottery: Tensor, loss: Tensor
    ) -> dict[str, Tensor]:
        """Of a batch as above whose conditions are known, and the loss so far."""
        model, settings = self.model, self.settings
        size = min(settings.crop, x.shape[-1])
        x, mask, maps = (crop_at(tensor, corner, size) for tensor in (x, mask, maps))
        features = self.features(x, model.biases(maps, h))
        hole = 1.0 - mask[:, 0]  # (B, h, w)
        weight = hole * (1.0 + settings.edge_weight * near_later_context(mask))
        chosen = (lottery + hole.flatten(1)).topk(min(settings.picked, size * size), sorted=False).indices  # (B, n)
        pixels = [
            tensor.flatten(2).transpose(1, 2).gather(1, chosen[..., None].expand(-1, -1, tensor.shape[1]))
            for tensor in (x, features, maps)
        ]
        hole, weight = hole.flatten(1).gather(1, chosen), weight.flatten(1).gather(1, chosen)
        with torch.autocast(x.device.type, enabled=False):
            whole, alone = self.nll(*(tensor.float() for tensor in pixels))
        unit = 1.0 / (3.0 * LN2)
        weighted = unit * ((whole + settings.context_weight * alone) * weight).sum() / weight.sum()
        return {
            "loss": loss + weighted,
            "bits": unit * (whole * hole).sum() / hole.sum(),
            "context_bits": unit * (alone * hole).sum() / hole.sum(),
        }


def crop_at(tensor: Tensor, corner: Tensor, size: int) -> Tensor:
    """Cuts (B, C, size, size) out of (B, C, H, W), the top left corner of each given by (B, 2) rows and columns."""
    if size >= tensor.shape[-1]:
        return tensor
    reach = torch.arange(size, device=tensor.device)
    picture = torch.arange(len(tensor), device=tensor.device)[:, None, None]
    rows, columns = corner[:, :1] + reach, corner[:, 1:] + reach
    return tensor.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
