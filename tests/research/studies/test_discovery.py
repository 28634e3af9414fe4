"""What latents do, what they are called, what moves with those that have a name, and the controls made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from csi_demo import masks, weights
from csi_demo.cli import main
from csi_demo.data import read_pack
from csi_demo.errors import ControlError
from csi_demo.methods import list_controls, load_method
from csi_demo.methods.csi import CSIMethod
from csi_demo.methods.csi.controls import GRID, HIDDEN, Named, aims, from_measured, load_measured, pack_map, unpack_map
from csi_demo.methods.csi.places import REGIONS, SHOWN, TURN
from csi_demo.pixels import mask_to_tensor, masks_to_tensor, to_float, to_tensor
from csi_demo.research.metrics.features import face_network
from csi_demo.research.studies.controls import offered, steered
from csi_demo.research.studies.discovery.latents import EVERYWHERE, main_region, monotonic
from csi_demo.research.studies.discovery.measures import WORDS, Measures
from csi_demo.research.studies.discovery.named import LEAST, REACH, UNSEEN, WORSE, reached
from csi_demo.research.studies.discovery.naming import (
    UNUSED,
    Found,
    evidence,
    machine_name,
    name_effect,
    unique,
    usual_change,
)
from csi_demo.research.studies.discovery.response import Response, compensated, regress
from csi_demo.sampling.compiled import code

from ...server import ROOT, copy_folder

FRAME = ROOT / "examples" / "astronaut.png"
NAMES = ("Smiling", "High_Cheekbones", "Mouth_Slightly_Open", "Male", "Attractive", "brightness", "turn")
SPREAD = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 0.2, 1.0])
CORRELATION = np.eye(7)
CORRELATION[0, 1] = CORRELATION[1, 0] = 0.95
CORRELATION[0, 2] = CORRELATION[2, 0] = 0.3


def named(change: list[float], error: float = 0.05, strength: float = 0.2, region: str = "mouth") -> str:
    return of_change(np.array(change), np.full(7, error), strength, region).name


def of_change(
    change: np.ndarray,
    error: np.ndarray,
    strength: float = 0.2,
    region: str = "mouth",
    usual: tuple[float, ...] | np.ndarray = (1.0,) * 7,
) -> Found:
    return name_effect(NAMES, change, error, SPREAD, CORRELATION, strength, region, np.array(usual))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ([4.0, 0.1, 0.5, 0.2, 0.0, 0.0, 0.0], "smile"),
        ([4.0, 3.6, 0.5, 0.2, 0.0, 0.0, 0.0], "smile"),  # high cheekbones go along with smiles anyway
        ([4.0, 3.6, 3.5, 0.2, 0.0, 0.0, 0.0], "smile + open mouth"),
        ([4.0, -3.6, 0.0, 0.0, 0.0, 0.0, 0.0], "smile + low cheekbones"),
        ([-4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "less smile"),
        ([0.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0], "feminine"),
        ([0.0, 0.0, 0.0, 0.0, 8.0, 0.0, 0.0], "mouth detail"),  # a judgement names nothing
        ([1.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.0], "brighter"),
        ([0.0, 0.0, 0.0, 0.0, 0.0, -0.3, 1.6], "turn + darker"),
        ([0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "mouth detail"),
    ],
)
def test_a_name_is_the_strongest_effect_that_stands_out(change: list[float], name: str):
    assert named(change) == name


def test_what_is_uncertain_or_weak_names_nothing():
    change = [4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert named(change, error=1.5) == "mouth detail"
    assert named(change, error=1.5, region=EVERYWHERE) == "detail"
    assert named(change, strength=0.04) == UNUSED


def test_what_others_do_as_well_comes_second():
    change = np.array([4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.7])
    others = np.array([[5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1], [-3.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.2], change])
    assert of_change(change, np.full(7, 0.05)).name == "smile + turn"
    assert of_change(change, np.full(7, 0.05), usual=usual_change(others, SPREAD)).name == "turn + smile"
    faint = np.array([4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.1])  # however unusual
    assert of_change(faint, np.full(7, 0.05), usual=usual_change(others, SPREAD)).name == "smile"


def test_repeated_names_are_numbered():
    names = ["smile", "turn", "smile", "smile"]
    assert unique(names) == ["smile", "turn", "smile 2", "smile 3"]
    assert machine_name("bags under eyes") == "bags_under_eyes"
    assert machine_name("make-up") == "make_up"


def test_evidence_gives_the_figures():
    change, error = np.array([3.14, 0, 0, 0, 0, -0.25, 0]), np.full(7, 0.21)
    found = of_change(change, np.full(7, 0.05))
    text = evidence(NAMES, found, change, error, "from -2.5 to 2.5", 0.2)
    assert "smile: +3.1 ± 0.2 logits" in text
    assert "brightness: -0.250 ± 0.210 of 2" in text
    assert text.endswith("from -2.5 to 2.5; moves a pixel by 0.20 of 2.")


def test_a_regression_on_moves_finds_what_latents_do():
    rng = np.random.default_rng(0)
    slopes = rng.standard_normal((5, 3))
    moves = rng.standard_normal((20, 60, 5))
    level = rng.standard_normal((20, 1, 3)) * 10
    found, base = regress(moves, moves @ slopes + level + 0.1 * rng.standard_normal((20, 60, 3)))
    assert found == pytest.approx(slopes, abs=0.05)
    assert base.shape == (20, 3)


def test_a_named_latent_takes_along_what_undoes_what_it_drags_along():
    slopes = np.array([[2.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.5]])  # the first drags the second attribute along
    response = Response(slopes, np.zeros((50, 3)))
    vector = compensated(response, 0, 0, (0, 1, 2))
    assert vector == pytest.approx([1.0, -0.5, 0.0], abs=0.02)
    alone, together = response.moved(np.array([1.0, 0.0, 0.0])), response.moved(vector)
    assert together[0] == pytest.approx(alone[0])
    assert abs(together[1]) < 0.05 < alone[1]
    assert compensated(response, 2, 2, (0, 1, 2)) == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


def test_what_is_allowed_is_left_where_undoing_it_would_cost():
    response = Response(np.array([[2.0, 1.0], [0.8, 2.0]]), np.zeros((50, 2)))
    strict, lenient = (response.moved(compensated(response, 0, 0, (0, 1), allowed)) for allowed in (0.0, 0.3))
    assert abs(strict[1]) < 0.1 < abs(lenient[1]) <= 0.3
    assert lenient[0] > strict[0]


def test_what_goes_along_does_not_go_too_far():
    home = np.zeros((64, 64), bool)
    known = Named(0, 1.0, home, np.array([1.0, -0.7, 0.0], np.float32))
    other = Named(1, -1.0, home, np.array([0.0, 1.0, 0.0], np.float32))
    z = torch.tensor([[-2.0, 2.0, 2.9, 0.3]])
    assert aims(z, [(known, 2.0)])[0].tolist() == pytest.approx([2.0, -0.8, 2.9])
    assert aims(z - 2.5, [(known, 2.0)])[0].tolist() == pytest.approx([2.0, -2.6, 0.4], abs=1e-5)
    assert aims(z, [(known, 2.0), (other, -1.0)])[0].tolist() == pytest.approx([2.0, 1.0, 2.9])


def test_every_place_of_an_attribute_is_a_region():
    assert {*SHOWN} - {TURN} <= {*face_network().config.names}
    assert {*SHOWN} <= {*WORDS}
    areas = {name: (x1 - x0) * (y1 - y0) for name, (x0, y0, x1, y1) in REGIONS.items()}
    for regions in SHOWN.values():
        assert sorted(regions, key=lambda region: areas[region]) == list(regions), "the smallest first"


def test_effect_maps_are_kept_in_bytes_and_say_where():
    cells = np.full((GRID, GRID), 0.1)
    cells[12:14, 5:11] = 0.8
    assert unpack_map(pack_map(cells)) == pytest.approx(cells, abs=0.002)
    even = np.ones((GRID, GRID))
    assert main_region(cells, even) == "mouth"
    assert main_region(cells, cells) == main_region(even, even) == EVERYWHERE
    measured = {"latents": [{"index": 0, "name": "smile", "evidence": "seen"} | pack_map(cells)], "named": []}
    declared = from_measured(measured, 2)
    assert [control.name for control in declared.controls] == ["z0", "z1"], "those that were not measured come last"
    assert declared.controls[0].label == "z0"
    assert declared.controls[0].help == "seen"
    mouth, eyes = (declared.relevance(~masks.family(name))["z0"] for name in ("20,48,44,56", "eyes"))
    assert mouth == pytest.approx(0.8, abs=0.01)
    assert eyes == pytest.approx(0.1, abs=0.01)


def test_steps_that_go_the_way_of_the_whole_are_counted():
    ramp = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 3.0, 1.0, 2.0, 4.0]])
    images = ramp[:, :, None, None, None].expand(-1, -1, 3, 8, 8)
    assert monotonic(images).tolist() == [1.0, 0.75]


@pytest.fixture(scope="module")
def measures(packs: Path) -> Measures:
    return Measures.learn(to_float(read_pack(packs / "val.parquet", 200)))


def test_measures_of_faces(measures: Measures, packs: Path):
    faces = to_float(read_pack(packs / "val.parquet", 20))
    hole = torch.zeros(64, 64, dtype=torch.bool)
    hole[20:40, 20:40] = True
    values, mirrored = (measures.of(images, hole) for images in (faces, faces.flip(3)))
    place = measures.names.index
    assert values.shape == (20, len(measures.names))
    assert values[:, place(TURN)].tolist() == pytest.approx((-mirrored[:, place(TURN)]).tolist(), abs=1e-3)
    assert values[:, place(TURN)].std() > 0.3
    brighter = measures.of(torch.where(hole, faces + 0.2, faces), hole) - values
    assert brighter[:, place("brightness")].tolist() == pytest.approx([0.2] * 20, abs=1e-4)
    assert brighter[:, place("warmth")].abs().max() < 1e-4
    elsewhere = measures.of(torch.where(hole, faces, faces + 0.2), hole) - values
    assert elsewhere[:, place("brightness")].abs().max() < 1e-6
    redder = faces.clone()
    redder[:, 0] += 0.1
    assert (measures.of(redder, hole) - values)[:, place("warmth")].tolist() == pytest.approx([0.1] * 20, abs=1e-4)


def test_the_shipped_latents_are_those_of_the_shipped_weights():
    measured = load_measured()
    assert measured is not None, "run discover: latents.json was measured on other weights"
    config = weights.load_config("csi")
    entries = measured["latents"]
    assert sorted(entry["index"] for entry in entries) == list(range(len(config["named"]), config["latent_dim"]))
    strengths = [entry["strength"] for entry in entries]
    assert strengths == sorted(strengths, reverse=True)
    assert len({entry["name"] for entry in entries}) == len(entries)
    assert measured["active"] == sum(strength > measured["threshold"] for strength in strengths)
    for entry in (*entries, *measured["named"]):
        assert len(entry["change"]) == len(entry["error"]) == len(measured["measures"])
        assert unpack_map(entry).shape == (GRID, GRID)
        assert entry["evidence"].endswith("of 2.")
    assert [entry["attribute"] for entry in measured["named"]] == [
        attribute for attribute in config["named"] if attribute not in UNSEEN
    ]
    for entry in measured["named"]:
        assert config["named"][entry["latent"]] == entry["attribute"]
        place = measured["measures"].index(entry["attribute"])
        if entry["attribute"] != TURN:  # whose sign is arbitrary
            assert entry["sign"] * entry["change"][place] > 3 * entry["error"][place]
        assert not masks.family(entry["hole"]).all()
    assert measured["command"].startswith("python -m csi_demo discover ")
    assert (weights.weights_folder() / "csi" / "latents.json").stat().st_size < 150_000


def test_controls_are_named_latents_then_all():
    controls = list_controls("csi")
    method = load_method("csi")
    assert isinstance(method, CSIMethod)
    named = [control for control in controls if control.kind == "named latent"]
    latents = [control for control in controls if control.kind == "latent"]
    assert controls == (*named, *latents)
    assert {control.name for control in latents} == {f"z{index}" for index in range(method.config.latent_dim)}
    assert len(named) >= 12
    names = [control.name for control in (*controls, *method.options)]
    assert len(set(names)) == len(names)
    assert all(control.default is None and control.minimum < 0.0 < control.maximum for control in named)
    assert all(control.help for control in controls)


def test_a_named_latent_is_set_and_the_other_named_ones_stay_but_for_what_goes_along():
    assert code.make()  # from here on the kernel draws
    method = load_method("csi")
    assert isinstance(method, CSIMethod)
    entry = (load_measured() or {})["named"][0]
    latent, second = entry["latent"], (load_measured() or {})["named"][1]
    image, mask = to_tensor(Image.open(FRAME)), masks_to_tensor([masks.family(entry["hole"])])
    start = method.start_values(image, mask)
    mean, _ = method.infer(image, mask)
    assert start[entry["name"]] == pytest.approx(entry["sign"] * float(mean[0, latent]), abs=1e-6)
    assert {f"z{index}" for index in range(method.config.latent_dim)} < set(start)
    plain = method.latents(image, mask, (1, 2), {}, 1.0)
    moved = method.latents(image, mask, (1, 2), {entry["name"]: 1.5}, 1.0)
    assert (entry["sign"] * moved[:, latent]).tolist() == pytest.approx([1.5, 1.5], abs=1e-5)
    along, count = np.array(entry["along"]), len(method.config.named)
    lack = entry["sign"] * 1.5 - plain[:, latent].numpy()
    assert along[latent] == 1.0
    assert (moved - plain)[:, :count].numpy() == pytest.approx(lack[:, None] * along, abs=1e-4), "none goes too far"
    assert 0.0 < (moved - plain)[:, count:].abs().mean() < 1.0, "the rest follows"
    still = method.latents(image, mask, (1,), {entry["name"]: float(entry["sign"] * plain[0, latent])}, 1.0)
    assert torch.allclose(still, plain[:1], atol=1e-4), "where it stood, nothing moves"
    both = method.latents(image, mask, (1,), {entry["name"]: 1.5, second["name"]: -1.0}, 1.0)[0]
    assert entry["sign"] * both[latent] == pytest.approx(1.5, abs=1e-5)
    assert second["sign"] * both[second["latent"]] == pytest.approx(-1.0, abs=1e-5)
    fills = []
    for value in (entry["low"], entry["high"]):
        *_, last = method.complete(image, mask, (3,), {entry["name"]: value})
        fills.append(last.images)
    assert torch.equal(method.ends(image, mask, 3, entry["name"]), torch.cat(fills))
    assert (fills[1] - fills[0]).abs().mean() > 0.02
    with pytest.raises(ControlError, match="out of range"):
        method.complete(image, mask, (3,), {entry["name"]: entry["high"] + 1})


def test_the_hole_decides_which_controls_are_offered_and_come_first():
    ranked = {}
    for hole in ("mouth", "eyes"):
        found = load_method("csi").relevance(mask_to_tensor(masks.family(hole)))
        assert set(found) == {control.name for control in list_controls("csi")}
        ranked[hole] = sorted((name for name in found if found[name] >= 0), key=lambda name: -found[name])
    assert ranked["mouth"][0] == "smile"
    assert "glasses" in ranked["eyes"]
    assert not {"smile", "open_mouth", "lipstick"} & {*ranked["eyes"]}, "what lies outside the hole"
    assert not {"glasses", "fringe"} & {*ranked["mouth"]}
    stroke = load_method("csi").relevance(mask_to_tensor(masks.family("18,44,46,47")))
    assert all(stroke[entry["name"]] == HIDDEN for entry in (load_measured() or {})["named"]), "a line below the nose"
    for entry in (load_measured() or {})["named"]:
        own, elsewhere = masks.family(entry["hole"]), ~masks.family(entry["hole"])
        assert load_method("csi").relevance(mask_to_tensor(own))[entry["name"]] > 100
        assert load_method("csi").relevance(mask_to_tensor(elsewhere))[entry["name"]] == HIDDEN
        assert load_method("csi").relevance(mask_to_tensor(own))[f"z{entry['latent']}"] == HIDDEN, "twice the same"
    assert load_method("vae").relevance(mask_to_tensor(masks.family("mouth"))) == {}


def test_latents_measured_on_other_weights_are_left_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog):
    folder = tmp_path / "weights"
    copy_folder(weights.weights_folder() / "csi", folder / "csi")
    monkeypatch.setenv("CSI_WEIGHTS_DIR", str(folder))
    weights.update_manifest(folder)
    assert load_measured() is not None
    weights.save_latents("csi", (load_measured() or {}) | {"weights": "others"})
    assert load_measured() is None
    assert "measured on other weights" in caplog.text
    controls = CSIMethod().controls
    assert all(control.kind == "latent" and control.label == control.name for control in controls)


@pytest.mark.slow
def test_traverse(tmp_path: Path):
    photo, out = str(FRAME), tmp_path / "sheet.png"
    names = [control.name for control in list_controls("csi")]
    chosen = [names[0], names[-1]]
    words = ["traverse", photo, "--aligned", "--mask", "mouth", "--out", str(out)]
    assert main([*words, "--controls", *chosen]) == 0
    two = np.asarray(Image.open(out))
    assert main([*words, "--grid", *chosen]) == 0
    grid = np.asarray(Image.open(out))
    assert grid.shape[0] > 2 * two.shape[0]
    assert main(words) == 0
    assert Image.open(out).height > 3 * two.shape[0]


@pytest.mark.slow
def test_discover_on_real_faces(packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CSI_CACHE", str(tmp_path / "cache"))
    few, out = tmp_path / "few.parquet", tmp_path / "latents.json"
    pq.write_table(pq.read_table(packs / "val.parquet").slice(0, 24), few)
    assert main(["discover", "--data", str(few), "--limit", "2", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["faces"] == 2
    assert found["weights"] == weights.fingerprint("csi")
    assert len(found["latents"]) == 64 - len(weights.load_config("csi")["named"])
    assert all(0 <= entry["monotonic"] <= 1 and entry["strength"] > 0 for entry in found["latents"])
    assert from_measured(found, 64).relevance(~masks.family("mouth")).keys() == {
        *(f"z{entry['index']}" for entry in found["latents"]),
        *(f"z{entry['latent']}" for entry in found["named"]),
        *(entry["name"] for entry in found["named"]),
    }


@pytest.mark.slow
def test_a_slider_that_is_left_out_is_not_offered(packs: Path):
    method = load_method("pixelcnn")
    sliders = {entry.name: entry.attribute for entry in steered(method)}
    seen = [{"control": name, "wanted": 0.5, "right_way": 1.0} for name in sliders for _ in ("face network", "judge")]
    found = offered(method, {"controls": seen, "n": 2}, packs, ["smile"])
    assert [entry["attribute"] for entry in found["attributes"]] == [
        sliders[name] for name in sliders if name != "smile"
    ]
    assert found["left_out"] == ["smile"]
    with pytest.raises(ControlError, match="wings is no slider of pixelcnn"):
        offered(method, {"controls": seen, "n": 2}, packs, ["wings"])


@pytest.mark.slow
def test_evaluate_controls_on_real_faces(packs: Path, tmp_path: Path, capsys):
    out = tmp_path / "controls.json"
    words = ["evaluate", "--controls", "--data", str(packs / "val.parquet")]
    assert main([*words, "--limit", "2", "--json", str(out)]) == 0
    figures, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert figures["n"] == 2
    names = [control.name for control in list_controls("csi") if control.kind == "named latent"]
    assert [row["control"] for row in figures["controls"][::2]] == [name for name in names if name != TURN]
    assert [row["judge"] for row in figures["controls"][:2]] == ["face network", "judge"]
    for row in figures["controls"]:
        assert row["merit"] == pytest.approx(row["wanted"] - row["unwanted"], abs=2e-3)
        assert 0 <= row["right_way"] <= 1
        assert 0 <= row["unwanted"] <= 1
        assert f"| {row['control']} | {row['hole']} |" in printed


def test_a_slider_ends_where_the_critic_tells_its_fills_from_faces():
    assert reached([0.0, 0.0, 0.0, 0.0, 0.5 * WORSE]) == REACH
    assert reached([0.0, 0.0, 0.0, 2.0 * WORSE, 9.0]) == 1.2
    assert reached([0.0, 9.0, 9.0, 9.0, 9.0]) == LEAST
