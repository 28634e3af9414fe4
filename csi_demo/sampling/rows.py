"""Drawing a hole's pixels from a PixelCNN in raster order with torch, row by row, reusing activations.

The same frozen noise gives the pixels of `reference`. Everything runs in the dtype of the model's streams; in float64
neither the size of a batch nor the path taken can change a rounded pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models import logistic_mixture
from ..models.logistic_mixture import Guide
from ..models.pixelcnn import GatedBlock
from .base import StreamModel, guided


def sample_pixels(
    model: StreamModel, x: Tensor, mask: Tensor, biases: Tensor | None, noise: Tensor, guide: Guide | None = None
) -> Iterator[tuple[Tensor, float]]:
    """Draws the hole's pixels, all samples at once, reusing activations.

    x: (n, 3, H, W), hole pixels ignored; mask: (n, 1, H, W), 1 = observed, may differ between samples; biases: (n,
    2 * blocks * F, H, W) or None; noise: (n, H, W, K + 3); guide: what every pixel's distribution is multiplied with.
    Yields (pictures so far (n, 3, H, W), share of the pixels drawn) after every row with hole pixels; the tensor
    yielded is the one being filled.

    Rows start as far above the hole as a hole pixel sees. One row of the vertical stack depends on finished rows only,
    so it is computed at once; within a row only the horizontal stack's new column is computed for every pixel, with the
    share of the row above already added.
    """
    hole = mask[:, 0] < 0.5
    union = hole.any(0)
    total = int(union.sum())
    rows = _Rows(model, x * mask, biases)
    x, done = rows.pixels, 0
    first, last = union.any(1).nonzero().flatten()[[0, -1]].tolist()
    for row in range(max(0, first - model.forward_stream.reach[0]), last + 1):
        rows.begin(row)
        columns = union[row].nonzero().flatten().tolist()
        if not columns:
            continue
        rows.begin_columns(columns[0])
        for column in range(columns[0], columns[-1] + 1):
            params = rows.column(row, column)
            if union[row, column]:
                drawn = logistic_mixture.sample(guided(params, guide, row, column), noise[:, row, column])
                x[:, :, row, column] = torch.where(hole[:, row, column, None], drawn, x[:, :, row, column])
        rows.horizontal(row)
        done += len(columns)
        yield x, done / total


class _Rows:
    """The forward stream of one batch, row by row. A row is (n, F, 1, W); a column (n, F)."""

    def __init__(self, model: StreamModel, x: Tensor, biases: Tensor | None):
        self.stream, self.head, self.biases = model.forward_stream, model.head, biases
        self.blocks, self.filters = self.stream.blocks, self.stream.filters
        self.vertical_blocks = cast(list[GatedBlock], list(self.stream.vertical))
        self.horizontal_blocks = cast(list[GatedBlock], list(self.stream.horizontal))
        self.padded = F.pad(torch.cat((x, torch.ones_like(x[:, :1])), 1), (2, 1, 2, 0))  # zeros beyond the border
        self.pixels = self.padded[:, :3, 2:, 2:-1]  # a view: what is drawn here is seen by all that follows
        zero = x.new_zeros(x.shape[0], self.filters, 1, x.shape[3])
        self.above_vertical = [(zero, zero)] * self.blocks  # inputs of both convolutions of a block, one row up
        self.here_horizontal = [(zero, zero)] * self.blocks
        self.input_weight = self.stream.horizontal_input.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1)
        self.column_weights = [
            tuple(conv.weight[:, :, 1].permute(2, 1, 0).flatten(0, 1) for conv in (block.first, block.second))
            for block in self.horizontal_blocks
        ]

    def _bias(self, part: int, row: int) -> Tensor | float:
        if self.biases is None:
            return 0.0
        return self.biases[:, part * self.filters : (part + 1) * self.filters, row : row + 1]

    def begin(self, row: int) -> None:
        """The next row: its vertical stack, what that gives every horizontal block, and `horizontal` itself."""
        self.above_horizontal = self.here_horizontal
        layer = self.stream.vertical_input
        u = self.start = F.conv2d(self.padded[:, :, row : row + 2, 1:], layer.weight, layer.bias)
        self.given = []
        for index, block in enumerate(self.vertical_blocks):
            u, self.above_vertical[index] = _block_row(
                block, u, self._bias(2 * index, row), self.above_vertical[index], 1
            )
            self.given.append(self.stream.across[index](F.elu(u)) + self._bias(2 * index + 1, row))
        self.horizontal(row)

    def horizontal(self, row: int) -> None:
        """The horizontal stack of this row, valid up to the first pixel that is still to be drawn."""
        layer = self.stream.horizontal_input
        h = self.start + F.conv2d(self.padded[:, :, row + 2 : row + 3, :-2], layer.weight, layer.bias)
        self.here_horizontal = []
        for block, given, above in zip(self.horizontal_blocks, self.given, self.above_horizontal, strict=True):
            h, here = _block_row(block, h, given, above, 0)
            self.here_horizontal.append(here)

    def begin_columns(self, column: int) -> None:
        """Prepares `column` calls from this column of the row on."""
        self.left = [
            tuple(part[:, :, 0, column - 1] if column else torch.zeros_like(part[:, :, 0, 0]) for part in here)
            for here in self.here_horizontal
        ]
        self.shares = []
        for block, given, above in zip(self.horizontal_blocks, self.given, self.above_horizontal, strict=True):
            first, second = (
                F.conv2d(F.pad(part, (1, 0)), conv.weight[:, :, :1], conv.bias)[:, :, 0]
                for conv, part in zip((block.first, block.second), above, strict=True)
            )
            self.shares.append((first + given[:, :, 0], second))  # (n, F, W), (n, 2 F, W)

    def column(self, row: int, column: int) -> Tensor:
        """Mixture parameters (n, 10 K) of one pixel, given all before it."""
        two_left: Tensor = self.padded[:, :, row + 2, column : column + 2].transpose(1, 2).flatten(1)  # (n, 2 * 4)
        bias = cast(Tensor, self.stream.horizontal_input.bias)
        h = self.start[:, :, 0, column] + torch.addmm(bias, two_left, self.input_weight)
        for index in range(self.blocks):
            (left_first, left_second), (share_first, share_second) = self.left[index], self.shares[index]
            weight_first, weight_second = self.column_weights[index]
            e = F.elu(h)
            k = F.elu(torch.addmm(share_first[:, :, column], torch.cat((left_first, e), 1), weight_first))
            a, b = torch.addmm(share_second[:, :, column], torch.cat((left_second, k), 1), weight_second).chunk(2, 1)
            h = h + a * torch.sigmoid(b)
            self.left[index] = (e, k)
        return F.linear(F.elu(h), self.head.weight[:, :, 0, 0], self.head.bias)


def _block_row(
    block: GatedBlock, x: Tensor, condition: Tensor | float, above: tuple[Tensor, Tensor], right: int
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One row of a gated block; above: both convolutions' inputs one row up. Returns the row and this row's inputs."""
    e = F.elu(x)
    k = F.elu(_two_rows(block.first, above[0], e, right) + condition)
    a, b = _two_rows(block.second, above[1], k, right).chunk(2, 1)
    return x + a * torch.sigmoid(b), (e, k)


def _two_rows(conv: torch.nn.Conv2d, above: Tensor, here: Tensor, right: int) -> Tensor:
    return F.conv2d(F.pad(torch.cat((above, here), 2), (1, right)), conv.weight, conv.bias)
