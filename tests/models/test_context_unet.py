"""What the decoder sees of the photo."""

from __future__ import annotations

import pytest
import torch

from csi_demo.models.csi import CSI, CSIConfig

SMALL = {
    "image_size": 16,
    "latent_dim": 4,
    "encoder_channels": (4, 8),
    "decoder_channels": (8, 6, 4),
    "context_channels": (4, 6, 8),
    "bottleneck": 8,
    "map_channels": 5,
    "filters": 4,
    "blocks": 1,
    "mixtures": 2,
    "posterior_rank": 2,
}


@pytest.fixture
def model() -> CSI:
    torch.manual_seed(0)
    return CSI(CSIConfig(**SMALL, sees=True)).eval()


def opened(model: CSI) -> CSI:
    torch.nn.init.normal_(model.context.out.weight)
    return model


def test_it_begins_with_the_decoder_as_it_was(model: CSI):
    x, mask, z = torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16), torch.randn(2, 4)
    assert torch.equal(model.decode(z, model.see(x, mask)), model.decode(z))


def test_nothing_of_the_hole_gets_in_and_what_is_seen_does(model: CSI):
    opened(model)
    x, z, mask = torch.rand(1, 3, 16, 16), torch.randn(1, 4), torch.ones(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 0.0
    maps = model.decode(z, model.see(x, mask))
    assert torch.equal(maps, model.decode(z, model.see(torch.where(mask > 0.5, x, -x), mask)))
    assert not torch.allclose(maps, model.decode(z, model.see(torch.where(mask > 0.5, -x, x), mask)))


def test_what_lies_on_one_side_is_seen_on_the_other_too(model: CSI):
    x, mask = torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    marked = x.clone()
    marked[..., 8, 2] = 1.0
    plain, seen = (model.see(picture, mask)[-1] for picture in (x, marked))
    changed = (plain != seen).any(1)[0, 8].nonzero().flatten().tolist()
    assert changed == [1, 2, 3, 12, 13, 14]


def test_many_latents_share_what_is_seen_once(model: CSI):
    opened(model)
    x, mask, z = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16), torch.randn(3, 4)
    together = model.decode(z, model.see(x, mask))
    assert torch.allclose(together[1:2], model.decode(z[1:2], model.see(x, mask)), atol=1e-5)


def test_the_papers_decoder_sees_nothing():
    model = CSI(CSIConfig(**SMALL)).eval()
    assert model.see(torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)) is None
    assert not any(name.startswith("context.") for name in model.state_dict())
