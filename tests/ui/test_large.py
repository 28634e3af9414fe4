"""Results that are larger than the photos that they were made of can be used again."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from csi_demo.photo.reading import MAX_PIXELS
from csi_demo.pixels import png
from csi_demo.ui import api, photo
from csi_demo.ui.server.guard import MAX_BODY, MAX_FILE

from ..visitor import PlainMethod, file_of, noise


@pytest.fixture
def large() -> bytes:
    """A JPEG of 24 megapixels and a few MB, whose result as PNG had more than could be sent."""
    smooth = noise(1500, 1000).resize((6000, 4000), Image.Resampling.BICUBIC)
    return file_of(smooth, "JPEG", quality=80)


@pytest.mark.slow
def test_a_result_of_24_megapixels_goes_through_the_api_again(
    large: bytes, method: PlainMethod, faces: list[Any]
) -> None:
    """The case: 3.9 MB in, 26 MB out, and not in again."""
    sent = base64.b64encode(large).decode()
    (first,) = api.complete(sent, "mouth", "plain")["pictures"]
    assert len(first) > 2**25 > 4 * len(sent) // 3
    (again,) = api.complete(first, "eyes", "plain")["pictures"]
    assert len(again) < MAX_BODY


@pytest.mark.slow
def test_the_largest_photo_of_pure_noise_can_be_sent_back() -> None:
    """A neighbour: nothing is larger than noise."""
    rows = np.random.default_rng(0).integers(0, 256, (500, MAX_PIXELS // 4000, 3), dtype=np.uint8)
    share = png(Image.fromarray(rows), quickly=True)
    assert 8 * len(share) < MAX_FILE
    assert 4 * MAX_FILE // 3 < MAX_BODY


def test_a_downloaded_result_can_be_uploaded(
    large: bytes, method: PlainMethod, faces: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour: on the page."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    shown = photo.from_bytes(large)
    saved = tmp_path / "upload" / "csi-seed-0.png"
    saved.parent.mkdir()
    saved.write_bytes(png(shown.full(), quickly=True))
    assert saved.stat().st_size > 25 * 2**20
    assert photo.from_bytes(photo.receive(str(saved))).size == (6000, 4000)
    assert not saved.exists()
