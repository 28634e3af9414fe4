"""Photos in one tone, grey or sepia: what is filled in gets the tone, too."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..pixels import LUMA, to_bytes

WEIGHTS = np.array(LUMA, dtype=np.float32)
TONED, COLOURED = 1.5, 3.0  # levels that colours stray from a tone: up to the first it is one, from the second none
FEWEST = 16  # observed pixels that tell a tone


@dataclass(frozen=True)
class Tone:
    """Red and blue less luminance as quadratic functions of luminance; share: how far the photo keeps to them, 0 to
    1."""

    curves: np.ndarray  # (3, 2)
    share: float

    @staticmethod
    def of(pixels: np.ndarray, mask: np.ndarray) -> Tone:
        """That of the observed pixels: uint8 (h, w, 3), mask (h, w), True = observed."""
        seen = pixels[mask].astype(np.float32)
        if len(seen) < FEWEST:
            return Tone(np.zeros((3, 2), dtype=np.float32), 0.0)
        luma = seen @ WEIGHTS
        colours = seen[:, [0, 2]] - luma[:, None]
        powers = _powers(luma)
        curves, *_ = np.linalg.lstsq(powers, colours, rcond=None)
        apart = np.abs(colours - powers @ curves)
        strayed = np.sqrt(np.mean(np.minimum(apart, np.quantile(apart, 0.95, axis=0)) ** 2, 0)).max()
        return Tone(curves.astype(np.float32), float(np.clip((COLOURED - strayed) / (COLOURED - TONED), 0.0, 1.0)))

    def give(self, pixels: np.ndarray) -> np.ndarray:
        """A picture, uint8 (h, w, 3), in this tone as far as the photo is; as it is for a photo in colours."""
        if not self.share:
            return pixels
        luma = pixels.astype(np.float32) @ WEIGHTS
        red, blue = np.moveaxis(_powers(luma) @ self.curves, -1, 0) + luma
        green = (luma - WEIGHTS[0] * red - WEIGHTS[2] * blue) / WEIGHTS[1]
        return to_bytes(
            cv2.addWeighted(
                np.stack((red, green, blue), -1), self.share, pixels.astype(np.float32), 1.0 - self.share, 0.0
            )
        )


def _powers(luma: np.ndarray) -> np.ndarray:
    """(...,) to (..., 3): 1, luminance and its square, the luminance from 0 to 1."""
    part = luma / 255.0
    return np.stack((np.ones_like(part), part, part * part), -1)
