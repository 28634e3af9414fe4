"""The variants that the paper's claims are tested on: training, measures, table, figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo import masks, weights
from csi_demo.cli import main
from csi_demo.methods import small_csi
from csi_demo.methods.small_csi import SHOWN
from csi_demo.models.csi import CSI, CSIConfig, Posterior
from csi_demo.pixels import masks_to_tensor
from csi_demo.research.studies.ablations import introspective, measures, report, variants
from csi_demo.research.studies.ablations.autoregressive import measures as autoregressive_measures
from csi_demo.research.studies.ablations.autoregressive import report as autoregressive_report
from csi_demo.research.studies.ablations.autoregressive import variants as autoregressive
from csi_demo.research.studies.ablations.variants import VARIANTS
from csi_demo.research.training import variants as training
from csi_demo.research.training.csi import WEIGHT_FILES, CSIRecipe, CSISettings

from ...conftest import random_images, random_model, write_pack

TINY = {
    "latent_dim": 4,
    "encoder_channels": (4, 4, 4),
    "bottleneck": 8,
    "map_channels": 4,
    "filters": 4,
    "blocks": 1,
    "mixtures": 2,
}
KEPT_BYTES = 1_000_000  # that the page's variants may have together, in files of weights


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All variants as small as can be."""
    monkeypatch.setattr(variants, "SMALL", variants.SMALL | TINY)
    monkeypatch.setenv("CSI_WEIGHTS_DIR", str(tmp_path / "weights"))
    training._pictures.cache_clear()
    small_csi.loaded.cache_clear()


def command(model: str, data: Path, tmp_path: Path, capsys) -> tuple[list[str], Path]:
    """The words that measure a model's variants, of which there are none yet, on 12 pictures, and the folder for it."""
    write_pack(data / "test.parquet", 12, 3)
    out, folder = tmp_path / "out", tmp_path / "runs"
    words = ["ablations", "--model", model, "--data", str(data), "--weights", str(folder), "--out", str(out)]
    assert main(words) == 2
    assert "no trained variants in" in capsys.readouterr().err
    return words, out


def model_of(mean: float, sigma: float, seed: int = 0) -> CSI:
    """A model of 32x32 pictures whose encoder says what a picture's brightness is, times `mean`, with this sigma."""
    torch.manual_seed(seed)
    model = CSI(CSIConfig(**(variants.SMALL | TINY | {"reverse_stream": False}))).eval().requires_grad_(False)

    def encode(x, mask, noise):
        brightness = x.mean((1, 2, 3))[:, None].expand(-1, 4)
        return Posterior(
            mean * brightness,
            torch.full((len(x), 4), 2.0 * math.log(sigma)),
            torch.zeros(len(x), 4, 0),
            torch.zeros(len(x), 1),
        )

    model.encode = encode  # type: ignore[method-assign]
    return model


def test_the_measures_of_latents_tell_ignored_from_used_ones():
    images = torch.linspace(-0.9, 0.9, 40)[:, None, None, None].expand(-1, 3, 32, 32).contiguous()
    ignored = measures.measure_latents(model_of(0.0, 1.0), images, 0)
    assert ignored["mutual_information"] == pytest.approx(0.0, abs=1e-4)
    assert ignored["total_correlation"] == pytest.approx(0.0, abs=1e-4)
    assert ignored["dimension_kl"] == pytest.approx(0.0, abs=1e-4)
    assert ignored["redraw"] == pytest.approx(1.0, abs=0.1)
    assert ignored["spread"] == pytest.approx(1.0, abs=0.2)
    assert ignored["sigma"] == 1
    used = measures.measure_latents(model_of(2.0, 0.001), images, 0)
    assert used["mutual_information"] == pytest.approx(math.log(40), abs=0.01)
    assert used["total_correlation"] == pytest.approx(3 * math.log(40), abs=0.05)  # four copies of one number
    assert used["mean_spread"] == pytest.approx(2.0 * float(torch.linspace(-0.9, 0.9, 40).std()), abs=0.001)
    narrow = measures.measure_latents(model_of(0.05, 0.1), images, 0)
    assert narrow["spread"] < 0.2
    assert min(narrow["mmd"], used["mmd"]) > 2 * ignored["mmd"]


def test_the_last_row_and_column_of_a_hole():
    mask = torch.ones(1, 1, 5, 6)
    mask[..., 1:4, 2:4] = 0.0
    assert measures.last_edges(mask).tolist() == [False, True, False, True, True, True]


def test_roughness_sees_noise_in_the_corner_alone():
    mask = masks_to_tensor([masks.family("center", 32)])
    where = measures.corner(mask)
    assert where.nonzero().min(0).values.tolist() == [20, 20]
    assert where.nonzero().max(0).values.tolist() == [23, 23]
    smooth = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32).clone()
    assert measures.roughness(smooth, where) == pytest.approx(0.0, abs=1e-6)
    noisy = smooth.clone()
    noisy[..., 21:23, 21:23] += torch.tensor([[0.5, -0.5], [-0.5, 0.5]])
    assert measures.roughness(noisy, where) > 0.2
    assert measures.roughness(noisy, (mask[0, 0] < 0.5) & ~where) == pytest.approx(0.0, abs=1e-6)


def test_fills_keep_what_is_visible_and_do_not_depend_on_the_batch():
    model = random_model().float()
    images, mask = random_images(3).float(), masks_to_tensor([masks.family("center", 16)]).expand(3, -1, -1, -1)
    z = small_csi.normal((5, 6, 7), 4)
    fills = small_csi.draw(model, images, mask, z, (5, 6, 7))
    assert torch.equal(fills * mask, images * mask)
    assert not torch.equal(fills[1], images[1])
    alone = small_csi.draw(model, images[1:2], mask[:1], z[1:2], (6,))
    assert (alone - fills[1:2]).abs().max() < 0.02  # two levels: the batch's convolutions round otherwise
    for switch in ({"latent_dim": 0}, {"reverse_stream": False}):
        other = random_model(**switch).float()
        mean, sigma = small_csi.infer(other, images, mask)
        drawn = small_csi.draw(other, images, mask, mean + sigma, (5, 6, 7))
        assert torch.isfinite(drawn).all()
        assert mean.shape == (3, other.config.latent_dim)


def test_a_pixel_of_the_small_hole_is_hidden_where_any_of_its_four_is():
    mask = np.ones((64, 64), dtype=bool)
    mask[11, 20] = False
    small = small_csi.halve(mask)
    assert small.shape == (32, 32)
    assert np.argwhere(~small).tolist() == [[5, 10]]


def test_names_are_unique_and_what_is_carried_over_comes_first():
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    for index, variant in enumerate(VARIANTS):
        assert not variant.start or variant.start in names[:index]
        variants.config_of(variant)
    assert all(variant.text for variant in SHOWN)
    for _, _, _, _, columns in report.CLAIMS:
        assert columns[0] == "variant"


def test_the_variants_of_the_page_fit_their_budget(tmp_path: Path):
    total = 0
    for variant in (own for own in VARIANTS if own.name in {shown.name for shown in SHOWN}):
        folder, config = tmp_path / variant.name, variants.config_of(variant)
        weights.save_model(folder, config.to_dict(), CSI(config).state_dict(), {}, WEIGHT_FILES)
        own = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        assert own <= 400_000
        total += own
    assert total <= KEPT_BYTES


@pytest.mark.parametrize("one_stage", [False, True])
def test_in_one_stage_the_encoder_learns_from_the_hole(one_stage: bool):
    settings = CSISettings(one_stage=one_stage, crop=(24, 24), context_rate=1.0)
    recipe = CSIRecipe(settings, variants.SMALL | TINY)
    assert recipe.stages() == ((2,) if one_stage else (1, 2))
    model = recipe.build()
    step = recipe.step(model, 2, 100).train()
    frames = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    terms = step(**recipe.batch(model, 2, frames, 8, np.random.default_rng(0)))
    terms["loss"].backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    for name in ("encoder.heads.weight", "decoder.layers.0.weight"):
        assert (name in learning) == one_stage
    assert "reverse_stream.vertical_input.weight" in learning
    assert ("regulariser" in terms) == one_stage
    assert model.encoder.training == one_stage


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_stage_two_starts_from_the_stage_one_that_is_shared(made_up: Path, tmp_path: Path):
    folder = tmp_path / "runs"
    start = CSI(variants.config_of(variants.OBJECTIVES[-1]))
    weights.save_model(folder / "mmd", start.config.to_dict(), start.state_dict(), {}, WEIGHT_FILES)
    for variant in (variants.TWO_STAGE, variants.FORWARD_ONLY):
        recipe = training.VariantRecipe(variant, (64, 64), folder)
        model = recipe.build()
        for name, tensor in weights.load_state("mmd", folder).items():
            assert torch.equal(model.state_dict()[name], tensor), name
        assert hasattr(model, "reverse_stream") == (variant is variants.TWO_STAGE)
    recipe = training.VariantRecipe(variants.TWO_STAGE, (64, 64), folder)
    carried = recipe.build()
    assert torch.equal(carried.reverse_stream.vertical[0].first.weight, carried.forward_stream.vertical[0].first.weight)
    assert recipe.settings.pictures == (64, 64)
    assert training.VariantRecipe(variants.NO_LATENTS, (64, 32), folder).settings.pictures == (0, 96)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_the_command_trains_measures_draws_and_records(made_up: Path, tmp_path: Path, capsys, monkeypatch):
    write_pack(made_up / "test.parquet", 12, 3)
    out, folder = tmp_path / "out", tmp_path / "runs"
    words = ["ablations", "--data", str(made_up), "--weights", str(folder), "--out", str(out)]
    assert main(words) == 2
    assert "no trained variants in" in capsys.readouterr().err
    budget = ["--train", "--device", "cpu", "--pictures"]
    assert main([*words, *budget, "64,64", "--minutes", "0.0001"]) == 0
    assert "still to be trained: vae, beta-tcvae" in capsys.readouterr().out
    assert main([*words, *budget, "64,64", "--record"]) == 0
    printed = capsys.readouterr().out
    assert "still to be trained" not in printed
    figures = json.loads((out / "ablations.json").read_text())
    assert figures["n"] == 12
    assert [row["variant"] for row in figures["streams"]] == ["Two stages", "No reverse stream", "No latents"]
    assert figures["streams"][1]["gain"] == figures["streams"][1]["edge_gain"] == 0
    assert figures["streams"][0]["edge_gain"] != figures["streams"][0]["gain"]
    assert "control" not in figures["streams"][2]
    assert all(math.isfinite(row["bits_per_dim"]) for key, *_ in report.CLAIMS for row in figures[key])
    assert [row["reach"] for row in figures["receptive-field"]] == [4, 4, 12]  # the tiny ones have one block
    assert (out / "ablations.md").read_text() in printed
    for name in ("objectives", "posteriors", "stages", "streams", "receptive-field"):
        assert Image.open(out / f"{name}.png").size[0] > 300
    assert main([*words, *budget, "128,64"]) == 2
    assert "was begun with pictures=[64, 64]: use another --weights" in capsys.readouterr().err
    assert small_csi.shown_available()
    metrics = weights.local_metrics()["ablations/two-stage"]
    assert metrics["test"]["ablations"]["seam"] == figures["streams"][0]["seam"]
    assert metrics["test"]["ablations"]["n"] == 12
    fills = small_csi.fill_shown(Image.new("RGB", (64, 64), (200, 150, 100)), masks.family("mouth"), 3)
    assert [variant.name for variant, _ in fills] == [variant.name for variant in SHOWN]
    assert all(picture.size == (32, 32) for _, picture in fills)
    monkeypatch.chdir(tmp_path)  # where there are no runs: what was kept is measured
    assert main(["ablations", "--data", str(made_up), "--out", str(tmp_path / "again")]) == 0
    again = json.loads((tmp_path / "again" / "ablations.json").read_text())
    assert again["streams"] == figures["streams"]
    assert again["objectives"] == []


def test_variants_of_an_introspective_network_differ_in_one_thing_at_a_time():
    recipes = training.recipes_of("ian", Path("runs"), (64,))
    switches = [(one.config.mdc, one.settings.orthogonal_weight > 0, one.config.ternary) for one in recipes]
    assert switches == [(False,) * 3, (False,) * 3, (True, False, False), (True, True, False), (True,) * 3]
    assert [one.settings.seed for one in recipes] == [0, 1, 0, 0, 0]
    assert {one.settings.pictures for one in recipes} == {(64,)}
    assert all(one.settings.deep_feature_weight == 0 for one in recipes)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_the_command_does_the_same_for_an_introspective_network(made_up: Path, tmp_path: Path, capsys, monkeypatch):
    small = {"generator_channels": (8, 8, 6, 6), "critic_channels": (6, 8, 8), "head_channels": (6, 6, 6)}
    monkeypatch.setattr(introspective, "SMALL", introspective.SMALL | small | {"latent_dim": 4, "head_hidden": 8})
    monkeypatch.delenv("CSI_WEIGHTS_DIR")  # the face networks judge
    words, out = command("ian", made_up, tmp_path, capsys)
    folder = tmp_path / "runs"
    train = [*words, "--train", "--device", "cpu", "--pictures", "32"]
    assert main([*train, "--minutes", "0.0001"]) == 0
    assert "still to be trained: baseline, baseline-again, mdc" in capsys.readouterr().out
    assert main(train) == 0
    figures = json.loads((out / "ablations.json").read_text())
    assert [row["variant"] for row in figures["rows"][:-1]] == [one.label for one in introspective.VARIANTS]
    assert all(0 < row["l1"] < 2 and row["pictures"] == 32 for row in figures["rows"][:-1])
    assert figures["rows"][0]["l1"] != figures["rows"][1]["l1"]
    assert (out / "ablations.md").read_text() == introspective.markdown(figures)
    for name in ("reconstructions", "samples"):
        assert Image.open(out / f"{name}.png").size[0] > 300
    before = (folder / "mdc" / "state.pt").stat().st_mtime_ns
    assert main(train) == 0  # nothing is left to train
    assert (folder / "mdc" / "state.pt").stat().st_mtime_ns == before
    assert main([*train[:-1], "64"]) == 2
    assert "was begun with pictures=[32]: use another --weights" in capsys.readouterr().err


def test_variants_of_the_gated_pixelcnn_see_as_far_and_weigh_as_much_as_those_of_csi(tmp_path: Path):
    recipes = {one.variant.name: one for one in training.recipes_of("pixelcnn", tmp_path)}
    assert list(recipes) == [one.name for one in autoregressive.VARIANTS]
    forward, context, softmax = (recipes[one.name].build() for one in autoregressive.COMPLETIONS)
    assert forward.reach == context.reach == small_csi.load("two-stage").forward_stream.reach[0]
    assert [one.config.context for one in (forward, context, softmax)] == [False, True, True]
    assert [one.config.head for one in (forward, context, softmax)] == ["mixture", "mixture", "softmax"]
    numbers, csi = (sum(one.numel() for one in some.parameters()) for some in (context, small_csi.load("two-stage")))
    assert 0.7 < numbers / csi < 1.4
    pictures = {recipes[one.name].settings.pictures for one in autoregressive.COMPLETIONS}
    assert pictures == {(sum(weights.read_metrics("ablations/no-latents", None)["training"]["settings"]["pictures"]),)}
    assert {(one.config.bottleneck, one.config.decoder) for one in list(recipes.values())[-4:]} == {
        (width, decoder) for width in (10, 100) for decoder in ("mse", "pixelcnn")
    }


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_the_command_does_the_same_for_the_gated_pixelcnn(made_up: Path, tmp_path: Path, capsys, monkeypatch):
    tiny = {"filters": 4, "layers": 1, "head_filters": 8, "embedding": 4, "context_channels": (8, 8), "map_channels": 4}
    monkeypatch.setattr(autoregressive, "SMALL", autoregressive.SMALL | tiny | {"mixtures": 1})
    monkeypatch.setattr(autoregressive, "CHANNELS", (4, 6, 8))
    monkeypatch.setattr(autoregressive_measures, "HELD", autoregressive_measures.HELD[:1])
    monkeypatch.setattr(autoregressive_report, "SHEET", 2)
    monkeypatch.setattr(
        autoregressive, "WIDE", {name: tiny.get(name, one) for name, one in autoregressive.WIDE.items()}
    )
    monkeypatch.delenv("CSI_WEIGHTS_DIR")  # the face networks judge
    words, out = command("pixelcnn", made_up, tmp_path, capsys)
    assert main([*words, "--train", "--device", "cpu", "--pictures", "32"]) == 0
    figures = json.loads((out / "ablations.json").read_text())
    completions = [row["variant"] for row in figures["completions"]]
    assert completions[:3] == [one.label for one in autoregressive.COMPLETIONS]
    assert [name.split(", ")[0] for name in completions[3:]] == ["CSI"] * len(SHOWN)
    kept = {row["variant"]: row["bits_per_dim"] for row in figures["completions"][3:]}
    assert max(kept.values()) < min(row["bits_per_dim"] for row in figures["completions"][:3])  # which saw 32 pictures
    assert len(figures["attributes"]) == len(autoregressive_measures.HELD)
    (portraits,) = figures["portraits"]
    assert portraits["bits_per_dim"] != portraits["bits_of_another"] != portraits["bits_of_none"]
    alike = {row["variant"]: row["redraw"] for row in figures["autoencoders"]}
    assert [value == 0.0 for value in alike.values()] == [True, False, True, False]
    assert all("bits_per_dim" in row for row in figures["autoencoders"][1::2])
    assert all(row["pictures"] == 32 for key in autoregressive_report.CLAIMS for row in figures[key][:3])
    assert (out / "ablations.md").read_text() == autoregressive_report.markdown(figures)
    for name in ("completions", "attributes", "portraits", "autoencoders"):
        assert Image.open(out / f"{name}.png").size[0] > 300


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "pixelcnn", "--record"], "--record is for csi"),
        (["--model", "ian", "--record"], "--record is for csi"),
        (["--model", "ian", "--train", "--pictures", "1,2"], "needs a whole number"),
        (["--pictures", "1,2"], "--minutes and --pictures are for --train"),
        (["--train", "--pictures", "12"], "needs two whole numbers"),
        (["--train", "--minutes", "0"], "--minutes 0 is out of range"),
        (["--limit", "0"], "--limit 0 is out of range"),
    ],
)
def test_arguments_that_make_no_sense(words: list[str], said: str, tmp_path: Path, capsys):
    assert main(["ablations", "--out", str(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err
