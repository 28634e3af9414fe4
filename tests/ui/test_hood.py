"""Under the hood: the page's variants on a visitor's hole, with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from csi_demo import weights
from csi_demo.methods import small_csi
from csi_demo.methods.small_csi import SHOWN
from csi_demo.models.csi import CSI
from csi_demo.research.studies.ablations import variants
from csi_demo.research.training.csi import WEIGHT_FILES
from csi_demo.ui import engine
from csi_demo.ui.blocks import build
from csi_demo.ui.panels import hood

from ..research.studies.test_ablations import TINY
from ..visitor import a_photo, painting

pytestmark = pytest.mark.usefixtures("faces")


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Weights of tiny variants."""
    monkeypatch.setattr(variants, "SMALL", variants.SMALL | TINY)
    monkeypatch.setenv("CSI_WEIGHTS_DIR", str(tmp_path))
    small_csi.loaded.cache_clear()
    for number, variant in enumerate(SHOWN):
        torch.manual_seed(number)
        model = CSI(variants.config_of(next(own for own in variants.VARIANTS if own.name == variant.name)))
        folder = tmp_path / small_csi.FOLDER / variant.name
        weights.save_model(folder, model.config.to_dict(), model.state_dict(), {}, WEIGHT_FILES)
    weights.update_manifest(tmp_path)
    yield tmp_path
    small_csi.loaded.cache_clear()


def test_every_variant_is_shown_with_its_name_and_what_it_is_for(stored: Path):
    assert hood.offer()["hood"]["visible"]
    shown = a_photo()
    seen = hood.side_by_side(painting(shown), 3)["inside"]
    assert seen.count("<img ") == 1 + len(SHOWN)
    for variant in SHOWN:
        assert f"<b>{variant.label}</b>" in seen
        assert variant.text in seen
    assert seen == hood.side_by_side(painting(shown), 3)["inside"]
    assert seen != hood.side_by_side(painting(shown), 4)["inside"]
    frame, mask, fills = engine.variant_fills(shown.subject(shown.preset("mouth")), 3)
    assert frame.size == (32, 32)
    for _, _, picture in fills:
        pixels, own = (torch.tensor(list(one.get_flattened_data())).view(32, 32, 3) for one in (picture, frame))
        assert torch.equal(pixels[torch.from_numpy(mask)], own[torch.from_numpy(mask)])


def test_it_is_hidden_without_the_variants_and_says_what_is_wrong(stored: Path):
    assert "alert" in hood.side_by_side(painting(a_photo()), "x")["inside"]
    (stored / small_csi.FOLDER / SHOWN[0].name / "pixelcnn.safetensors").write_bytes(b"half")
    assert "could not be loaded" in hood.side_by_side(painting(a_photo()), 0)["inside"]
    (stored / "manifest.json").unlink()
    assert not hood.offer()["hood"]["visible"]


def test_the_button_shares_the_limit_on_what_is_computed_at_once():
    blocks = build()
    (one,) = [function for function in blocks.fns.values() if function.name == "side_by_side"]
    assert (one.concurrency_id, one.concurrency_limit) == ("compute", 2)
