from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skimage.data
import torch
from PIL import Image

from csi_demo import masks
from csi_demo.models import logistic_mixture
from csi_demo.models.csi import CSI, CSIConfig
from csi_demo.photo.placement import Placement
from csi_demo.pixels import masks_to_tensor

from .server import Server, serving
from .visitor import PlainMethod, noise

if TYPE_CHECKING:
    from csi_demo.ops.soaking import Visitor

torch.set_num_threads(1)  # tiny tensors: threads would only wait for each other
cv2.setNumThreads(1)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PACKS = DATA / "celeba64"
WHOLE = DATA / "celeba178" / "test.parquet"


@pytest.fixture(scope="session")
def packs() -> Path:
    """The folder of face packs; tests that train or evaluate on real faces need it."""
    if not PACKS.is_dir():
        pytest.skip("needs the face packs in ../shared/data/celeba64, which are not part of this repository")
    return PACKS


@pytest.fixture(scope="session")
def whole_pictures() -> Path:
    """A pack of whole 178x218 pictures, for how exactly faces are found."""
    if not WHOLE.is_file():
        pytest.skip("needs the whole pictures in ../shared/data/celeba178, which are not part of this repository")
    return WHOLE


@pytest.fixture(scope="session")
def astronaut() -> Image.Image:
    """NASA's portrait of Eileen Collins, 512x512, from scikit-image."""
    return Image.fromarray(skimage.data.astronaut())


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> PlainMethod:
    """The only method there is."""
    plain = PlainMethod()
    monkeypatch.setattr("csi_demo.methods.load_method", lambda name: plain)
    return plain


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> list[Placement]:
    """The faces that are found in every photo: none, until a test puts some in."""
    found: list[Placement] = []
    monkeypatch.setattr("csi_demo.ui.photo._faces", lambda picture: found)
    return found


def tiny_config(**changes) -> CSIConfig:
    """A CSI small enough to differentiate pixel by pixel: 16x16 pictures."""
    values = {
        "image_size": 16,
        "latent_dim": 4,
        "posterior_rank": 2,
        "encoder_channels": (8, 8),
        "decoder_channels": (8, 8, 6),
        "bottleneck": 16,
        "map_channels": 6,
        "filters": 8,
        "blocks": 2,
        "mixtures": 3,
    }
    return CSIConfig(**(values | changes))


def random_model(seed: int = 0, **changes) -> CSI:
    """A tiny CSI in float64 whose every weight is random, those that start at zero too."""
    torch.manual_seed(seed)
    model = CSI(tiny_config(**changes)).eval().double().requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.2 * torch.randn_like(parameter)
    return model


def random_images(count: int, size: int = 16, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return logistic_mixture.quantise(
        torch.rand((count, 3, size, size), generator=generator, dtype=torch.float64) * 2 - 1
    )


def random_masks(count: int, size: int = 16, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return masks_to_tensor(masks.training_mask(rng, size) for _ in range(count)).double()


def write_pack(file: Path, count: int, seed: int, size: tuple[int, int] = (64, 64)) -> None:
    """A pack of made-up pictures in the layout of the real ones."""
    rng, cells = np.random.default_rng(seed), []
    for index in range(count):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        stored = io.BytesIO()
        small.resize(size, Image.Resampling.BICUBIC).save(stored, format="PNG")
        cells.append({"bytes": stored.getvalue(), "path": f"{index}.png"})
    pq.write_table(pa.table({"image": cells}), file)


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with train packs and a val pack, and a cache of its own."""
    monkeypatch.setenv("CSI_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "packs"
    folder.mkdir()
    write_pack(folder / "train-00000-of-00002.parquet", 12, 0)
    write_pack(folder / "train-00001-of-00002.parquet", 8, 1)
    write_pack(folder / "val.parquet", 6, 2)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real server for strangers: it must neither log nor keep anything of what it was sent."""
    with serving(tmp_path_factory.mktemp("safety")) as running:
        yield running
    said = running.log.read_text()
    assert not re.search("base64|holiday|mary|photo-|PNG", said, re.IGNORECASE), said[-3000:]
    assert not any(file.is_file() for file in running.files.rglob("*"))  # it leaves nothing behind


@pytest.fixture
def visitor(server: Server) -> Iterator[Visitor]:
    """Somebody with a photo, its mouth painted out."""
    from csi_demo.ops.soaking import Visitor  # which brings Gradio, that few tests need

    one = Visitor(server.url)
    with one:
        one.set("samples", 1)
        one.paint_on(noise(64, 64))
        yield one


@contextmanager
def small_disk(most: int) -> Iterator[None]:
    """No file can be written that is larger than so many bytes, as on a disk that is nearly full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
