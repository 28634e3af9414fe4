"""Warm starts: a model that takes over from trained weights what fits."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ... import weights
from ...errors import WeightsError

# Rows: a transposed convolution's four taps along an axis, columns: the three of a convolution after enlarging by
# repetition that do the same to even and odd pixels.
TAPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def start_from(model: nn.Module, source: str) -> tuple[str, ...]:
    """Copies every tensor of trained weights whose name and shape the model has; returns the names that it kept anew.

    Where the model enlarges and convolves and the weights have a transposed convolution, its filter is `enlarging`.

    source: a model of the configured weights, the path of a model's folder beside whose siblings a manifest lies, or a
    safetensors file. Raises WeightsError for weights that are missing, damaged, or fit nowhere.
    """
    return take_over(model, _state(source), source)


def take_over(model: nn.Module, state: dict[str, Tensor], source: str) -> tuple[str, ...]:
    """`start_from` of tensors that are loaded; source: what an error calls them."""
    own: dict[str, Tensor] = model.state_dict()
    for name, tensor in list(state.items()):
        enlarged = f"{name.removesuffix('.weight')}.1.weight"
        if enlarged in own and tensor.dim() == 4 and tensor.shape[2:] == (4, 4):
            state[enlarged] = enlarging(tensor)
    fitting = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise WeightsError(f"start={source}: none of its tensors fits this model")
    model.load_state_dict(own | fitting)
    return tuple(name for name in own if name not in fitting)


def _state(source: str) -> dict[str, Tensor]:
    path = Path(source)
    if path.is_dir():
        return weights.load_state(path.name, path.parent)
    if path.suffix != ".safetensors":
        return weights.load_state(source)
    try:
        return load_file(path)
    except Exception as error:
        raise WeightsError(f"{path} is not readable as safetensors ({error})") from None


def enlarging(weight: Tensor) -> Tensor:
    """The filter (outputs, inputs, 3, 3) that comes nearest to a transposed convolution's (inputs, outputs, 4, 4) of
    stride 2. It stands after enlarging by repetition; what it cannot do is what leaves checks."""
    inverse = torch.linalg.pinv(torch.tensor(TAPS, dtype=torch.float64)).to(weight.dtype)  # (3, 4)
    return torch.einsum("ak,bl,iokl->oiab", inverse, inverse, weight)
