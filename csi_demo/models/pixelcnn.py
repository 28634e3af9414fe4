"""PixelCNN++ stream without downsampling (Salimans et al. 2017): a vertical and a horizontal stack, no blind spot.

The vertical stack at (i, j) sees rows above i, the horizontal one also row i left of j; two convolutions a block widen
the view by two rows and two columns on each side. A stream has a conditioning input for every block and stack: the
sum U_l * r + V_l * s of CSI's equation 3, computed by the owner for all blocks at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ShiftedConv2d(nn.Conv2d):
    """Convolution whose output at (i, j) sees rows <= i only; ``padding`` = (left, right, top, bottom), may crop."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], pad: tuple[int, int, int, int]):
        super().__init__(inputs, outputs, kernel)
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pad))  # (B, inputs, H, W) -> (B, outputs, H, W)


def vertical_conv(inputs: int, outputs: int) -> ShiftedConv2d:
    """2x3: rows i-1 and i, columns j-1 to j+1."""
    return ShiftedConv2d(inputs, outputs, (2, 3), (1, 1, 1, 0))


def horizontal_conv(inputs: int, outputs: int) -> ShiftedConv2d:
    """2x2: rows i-1 and i, columns j-1 and j."""
    return ShiftedConv2d(inputs, outputs, (2, 2), (1, 0, 1, 0))


class GatedBlock(nn.Module):
    """Gated residual block: x + a * sigmoid(b), (a, b) = conv(ELU(conv(ELU(x)) + condition))."""

    def __init__(self, filters: int, conv, dropout: float):
        super().__init__()
        self.first = conv(filters, filters)
        self.second = conv(filters, 2 * filters)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = F.elu(self.first(F.elu(x)) + condition)  # (B, F, H, W)
        a, b = self.second(self.dropout(h)).chunk(2, 1)  # 2 x (B, F, H, W)
        return x + a * torch.sigmoid(b)


class PixelCNNStream(nn.Module):
    """Features (B, F, H, W) of an input (B, C, H, W), strictly causal in raster order.

    condition: (B, blocks * 2 * F, H, W) or None; block l takes F channels for its vertical and F for its horizontal
    stack. Border pixels are told from black ones by a channel of ones, which is 0 in the padding.
    """

    def __init__(self, inputs: int, filters: int, blocks: int, dropout: float = 0.0):
        super().__init__()
        self.filters, self.blocks = filters, blocks
        # Rows i-2 and i-1 for the vertical stack; row i, columns j-2 and j-1 for the horizontal one.
        self.vertical_input = ShiftedConv2d(inputs + 1, filters, (2, 3), (1, 1, 2, -1))
        self.horizontal_input = ShiftedConv2d(inputs + 1, filters, (1, 2), (2, -1, 0, 0))
        self.vertical = nn.ModuleList(GatedBlock(filters, vertical_conv, dropout) for _ in range(blocks))
        self.horizontal = nn.ModuleList(GatedBlock(filters, horizontal_conv, dropout) for _ in range(blocks))
        self.across = nn.ModuleList(nn.Conv2d(filters, filters, 1) for _ in range(blocks))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        x = torch.cat((x, torch.ones_like(x[:, :1])), 1)  # (B, C + 1, H, W)
        u = self.vertical_input(x)  # (B, F, H, W)
        h = u + self.horizontal_input(x)  # (B, F, H, W)
        parts = condition.chunk(2 * self.blocks, 1) if condition is not None else (0.0,) * (2 * self.blocks)
        for block in range(self.blocks):
            u = self.vertical[block](u, parts[2 * block])
            h = self.horizontal[block](h, self.across[block](F.elu(u)) + parts[2 * block + 1])
        return h

    @property
    def reach(self) -> tuple[int, int]:
        """Receptive field: rows above, and columns to the left (to the right, one less than that)."""
        return 2 * self.blocks + 2, 2 * self.blocks + 2
