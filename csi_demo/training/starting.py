"""Warm starts: a model that takes over from trained weights what fits."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from .. import weights


def start_from(model: nn.Module, source: str) -> tuple[str, ...]:
    """Copies every tensor of trained weights whose name and shape the model has; returns the names that it kept anew.

    source: a model of the configured weights, or the path of a model's folder beside whose siblings a manifest lies.
    Raises WeightsError for weights that are missing or damaged, ValueError where nothing fits.
    """
    path = Path(source)
    state = weights.load_state(path.name, path.parent) if path.is_dir() else weights.load_state(source)
    own: dict[str, Tensor] = model.state_dict()
    fitting = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise ValueError(f"start={source}: none of its tensors fits this model")
    model.load_state_dict(own | fitting)
    return tuple(name for name in own if name not in fitting)
