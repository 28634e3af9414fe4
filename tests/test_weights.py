from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from csi_demo import weights
from csi_demo.models.csi import CSI, CSIConfig
from csi_demo.research.training.csi import WEIGHT_FILES

from .conftest import random_model, tiny_config


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a tiny model in a folder of their own."""
    monkeypatch.setenv("CSI_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.delenv("CSI_WEIGHTS_REPO", raising=False)
    weights.save_model(tmp_path / "csi", tiny_config().to_dict(), random_model().state_dict(), {}, WEIGHT_FILES)
    return tmp_path


def load() -> CSI:
    return weights.load_into("csi", CSI(CSIConfig(**weights.load_config("csi"))))


def test_round_trip_in_half_precision(stored: Path):
    model, original = load(), random_model()
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    for (name, a), b in zip(model.state_dict().items(), original.state_dict().values(), strict=True):
        expected = b.half().float() if b.is_floating_point() else b
        assert torch.equal(a, expected), name
    assert {file.name for file in (stored / "csi").iterdir()} == {
        "config.json",
        "metrics.json",
        "encoder.safetensors",
        "decoder.safetensors",
        "pixelcnn.safetensors",
    }


def test_a_missing_file_names_itself(stored: Path):
    (stored / "csi" / "decoder.safetensors").unlink()
    with pytest.raises(weights.WeightsError, match=r"decoder\.safetensors is missing"):
        load()


def test_a_tampered_file_names_itself(stored: Path):
    file = stored / "csi" / "encoder.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(weights.WeightsError, match=r"encoder\.safetensors is damaged: its SHA-256"):
        load()


def test_a_file_cut_short_names_itself(stored: Path):
    file = stored / "csi" / "pixelcnn.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    weights.update_manifest(stored)  # even where the manifest agrees with it
    with pytest.raises(weights.WeightsError, match=r"pixelcnn\.safetensors is damaged: not readable"):
        load()


def test_a_broken_manifest_names_itself(stored: Path):
    (stored / "manifest.json").write_text("{")
    with pytest.raises(weights.WeightsError, match=r"manifest\.json is damaged"):
        load()
    (stored / "manifest.json").write_text("{}")
    with pytest.raises(weights.WeightsError, match="no model 'other'"):
        weights.load_config("other")


def test_another_config_does_not_load(stored: Path):
    config = stored / "csi" / "config.json"
    config.write_text(json.dumps(tiny_config(filters=9).to_dict()))
    weights.update_manifest(stored)
    with pytest.raises(weights.WeightsError, match=r"do not fit its config\.json: size mismatch"):
        load()


def test_values_that_are_not_finite_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CSI_WEIGHTS_DIR", str(tmp_path))
    model = random_model()
    model.head.bias[0] = torch.nan
    weights.save_model(tmp_path / "csi", tiny_config().to_dict(), model.state_dict(), {}, WEIGHT_FILES)
    with pytest.raises(weights.WeightsError, match=r"head\.bias has values that are not finite"):
        load()


def test_a_hub_repository_out_of_reach_is_said_in_one_line(stored: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CSI_WEIGHTS_DIR")
    monkeypatch.setenv("CSI_WEIGHTS_REPO", "somebody/faces@v1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(stored / "cache"))
    with pytest.raises(
        weights.WeightsError, match=r"manifest\.json could not be fetched .* somebody/faces@v1"
    ) as caught:
        load()
    assert "\n" not in str(caught.value)


def test_shipped_weights_keep_to_the_size_limits():
    folder = Path(__file__).parents[1] / "weights"
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files, "the repository ships no weights"
    assert max(file.stat().st_size for file in files) <= 10_000_000
    assert sum(file.stat().st_size for file in files) <= 80 * 2**20
    listed = json.loads((folder / "manifest.json").read_text())
    for model, entries in listed.items():
        assert {f.name for f in (folder / model).glob("*.safetensors")} == {
            n for n in entries if n.endswith(".safetensors")
        }


def test_a_model_in_a_folder_of_its_own_kind_and_weights_of_another_folder(stored: Path, tmp_path_factory):
    other, model = tmp_path_factory.mktemp("other"), random_model(1)
    name = "ablations/one"
    weights.save_model(other / name, tiny_config().to_dict(), model.state_dict(), {"training": {}}, WEIGHT_FILES)
    weights.update_manifest(other)
    assert weights.available(name, other)
    assert not weights.available(name)
    assert not weights.available(name, tmp_path_factory.mktemp("empty"))
    loaded = weights.load_into(name, CSI(CSIConfig(**weights.load_config(name, other))), other)
    assert torch.equal(loaded.head.weight, model.head.weight.half().float())
    (other / name / "encoder.safetensors").write_bytes(b"half")
    with pytest.raises(weights.WeightsError, match=r"ablations/one/encoder\.safetensors is damaged"):
        weights.load_state(name, other)
    assert torch.equal(load().head.weight, random_model().head.weight.half().float())


def test_figures_and_files_of_a_model_in_a_folder_below(stored: Path):
    name = "ablations/one"
    weights.save_model(stored / name, tiny_config().to_dict(), random_model().state_dict(), {"a": 1}, WEIGHT_FILES)
    (stored / "ablations" / "manifest.json").unlink()
    weights.update_manifest(stored)
    assert set(weights.local_metrics()) == {"csi", name}
    found = {str(file.relative_to(stored)) for file in weights.local_files()}
    assert {f"{name}/config.json", f"{name}/metrics.json", f"{name}/pixelcnn.safetensors"} <= found


def test_a_folder_is_laid_over_the_shipped_weights(stored: Path):
    assert load().config.filters == tiny_config().filters
    assert weights.available("vae")
    assert weights.load_config("vae") == json.loads((Path(__file__).parents[1] / "weights/vae/config.json").read_text())
    weights.record_test("csi", "here", {"n": 1})
    assert json.loads((stored / "csi" / "metrics.json").read_text()) == {"test": {"here": {"n": 1}}}


def test_a_folder_without_weights_is_not_passed_over_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CSI_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(weights.WeightsError, match=r"manifest\.json is missing"):
        weights.load_config("vae")
