"""What README and docs/ say against what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from csi_demo.methods.csi.places import TURN
from csi_demo.methods.small_csi import SHOWN
from csi_demo.ops import benchmark, hard_soak, soaking
from csi_demo.research.studies.ablations import introspective, report
from csi_demo.research.studies.ablations.autoregressive import report as autoregressive
from csi_demo.research.studies.guidance import COLUMNS as GUIDANCE_COLUMNS
from csi_demo.research.studies.tables import CONTROL_COLUMNS, table
from csi_demo.research.studies.variety import COLUMNS as VARIETY_COLUMNS
from csi_demo.weights import fingerprint

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = {file.stem: file.read_text() for file in (ROOT / "docs").glob("*.md")}
METHODS, MASKS = ("csi", "vae", "vae-oneshot"), ("center", "mouth", "eyes", "left")
FILLS = [*((method, mask) for method in METHODS for mask in MASKS), ("dcgan", "center"), ("dcgan", "left")]


def measured(model: str, name: str) -> dict:
    """Figures of a model's metrics.json."""
    return json.loads((ROOT / "weights" / model / "metrics.json").read_text())["test"][name]


@pytest.mark.parametrize(("method", "mask"), FILLS)
def test_the_table_is_that_of_metrics_json(method: str, mask: str):
    figures = measured(method, mask)
    lines = DOCS["figures"].splitlines()
    (row,) = [line for line in lines if line.startswith(f"| {mask} | {method} |")]
    head = next(line for line in lines if line.startswith("| mask | method |"))
    names = [cell.strip() for cell in head.split("|")[3:-1]]
    assert [cell.strip() for cell in row.split("|")[3:-1]] == [str(figures.get(name, "")) for name in names]
    assert f"`{figures['command']}`" in DOCS["figures"]


@pytest.mark.parametrize("mask", MASKS)
def test_the_short_table_is_that_of_metrics_json(mask: str):
    (row,) = [line for line in README.splitlines() if line.startswith(f"| {mask} |")]
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    assert cells == [f"{measured(method, mask)['frechet_judge']:.1f}" for method in METHODS]


def test_readme_is_short():
    assert len(README.splitlines()) <= 150
    for target in re.findall(r"\]\(((?!http)[^)#]+)", README):
        assert (ROOT / target).is_file(), target


def test_figures_in_the_text_are_those_of_metrics_json():
    samples = {method: measured(method, "samples") for method in ("dcgan", "vae")}
    text = DOCS["figures"]
    assert f"| {samples['dcgan']['frechet']} | {samples['vae']['frechet']} |" in text
    descent, attributes = measured("dcgan", "descent center"), measured("attributes", "attributes")
    for figure in (descent["loss_ratio"], descent["time_ratio"], attributes["balanced_accuracy"]):
        assert str(figure) in text
    for figures in (samples["dcgan"], samples["vae"], descent, attributes):
        assert f"`{figures['command']}`" in text


def test_the_table_of_controls_is_that_of_metrics_json():
    figures, text = measured("csi", "controls"), DOCS["usage"]
    known = json.loads((ROOT / "weights" / "csi" / "latents.json").read_text())
    named = [entry["name"] for entry in known["named"] if entry["attribute"] != TURN]
    assert [row["control"] for row in figures["controls"][::2]] == named
    assert f"{table(figures['controls'], CONTROL_COLUMNS)}\n\n`{figures['command']}`" in text
    assert f"on {figures['n']} test faces, its own region hidden" in text
    every, threshold = len(known["latents"]), known["threshold"]
    assert f"{known['active']} of {every} change the mean hole pixel by more than {threshold} of 2" in text


def test_how_samples_differ_is_as_metrics_json_says():
    methods = (*METHODS, "vae-attributes")
    rows = [{"method": method} | measured(method, "variety mouth") for method in methods]
    assert f"{table(rows, VARIETY_COLUMNS)}\n\n" in DOCS["figures"]
    assert all(f"`{row['command']}`" in DOCS["figures"] for row in rows)


def test_the_attribute_vaes_tables_are_those_of_metrics_json():
    controls, guidance, text = (
        measured("vae-attributes", "controls"),
        measured("vae-attributes", "guidance center"),
        DOCS["attributes"],
    )
    assert f"{table(controls['controls'], CONTROL_COLUMNS)}\n\n`{controls['command']}`" in text
    assert f"{table(guidance['rows'], GUIDANCE_COLUMNS)}\n\n`{guidance['command']}`" in text
    known = json.loads((ROOT / "weights" / "vae-attributes" / "latents.json").read_text())
    assert known["weights"] == fingerprint("vae-attributes")


@pytest.mark.parametrize("model", ["vae-attributes", "pixelcnn"])
def test_fills_of_the_attribute_methods_are_those_of_metrics_json(model: str):
    rows = [line for line in DOCS["attributes"].splitlines() if f"| {model} |" in line]
    assert rows
    for row in rows:
        mask, _, *cells = [cell.strip() for cell in row.split("|")[1:-1]]
        figures = measured(model, mask)
        assert {str(figures[name]) for name in ("psnr", "ssim", "l1", "seam")} <= set(cells)
        assert f"`{figures['command']}`" in DOCS["attributes"]


@pytest.mark.parametrize("model", [*METHODS, "dcgan", "attributes", "aligner", "vae-attributes", "pixelcnn"])
def test_metrics_name_the_commands_that_make_them(model):
    metrics = json.loads((ROOT / "weights" / model / "metrics.json").read_text())
    assert metrics["training"]["hours"] > 0
    for figures in metrics["test"].values():
        assert figures["command"].startswith("python -m csi_demo ")
        assert figures["n"] > 0


def test_the_speeds_are_those_of_bench_json():
    figures = json.loads((ROOT / "docs" / "bench.json").read_text())
    assert benchmark.report(figures) in DOCS["figures"]
    assert f"\n{figures['command']}\n" in DOCS["figures"]


@pytest.mark.parametrize("refined", ["as drawn", "refined"])
@pytest.mark.parametrize("mask", ["mouth", "eyes", "center", "left"])
def test_the_photos_are_those_of_metrics_json(mask: str, refined: str):
    figures = measured("csi", f"photos {mask} {refined}")
    lines = DOCS["figures"].splitlines()
    head = next(line for line in lines if line.startswith("| hole in a photo |"))
    (row,) = [line for line in lines if line.startswith(f"| {mask}, {refined} |")]
    names, cells = ([cell.strip() for cell in line.split("|")[2:-1]] for line in (head, row))
    assert cells == [str(figures[name]) for name in names]
    assert f"`{figures['command']}`" in DOCS["figures"]


def test_the_photos_of_the_other_methods_are_those_of_metrics_json():
    lines = DOCS["figures"].splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("| method and hole in a photo |"))
    rows = [line.split("|")[1:-1] for line in lines[start + 2 : lines.index("", start)]]
    assert len(rows) >= 12
    for name, *cells in rows:
        method, mask = name.strip().split(", ")
        drawn, refined = (measured(method, f"photos {mask} {how}") for how in ("as drawn", "refined"))
        wanted = [one[key] for key in ("sharpness", "frechet", "frechet_judge") for one in (drawn, refined)]
        assert [cell.strip() for cell in cells] == [str(value) for value in (*wanted, refined["n"])]
        assert f"`{refined['command']}`" in DOCS["figures"]


def test_the_claims_are_those_of_ablations_json():
    figures = json.loads((ROOT / "docs" / "ablations.json").read_text())
    tables = [line for line in report.markdown(figures).splitlines() if line.startswith("|")]
    assert len(tables) > 2 * len(report.CLAIMS)
    assert set(tables) <= set(DOCS["claims"].splitlines())
    assert f"\n{figures['command']}\n" in DOCS["claims"]
    for variant in SHOWN:  # those on the page are those in the table
        known = measured(f"ablations/{variant.name}", "ablations")
        (row,) = [row for row in figures["streams"] + figures["stages"][1:] if row["variant"] == variant.label]
        assert {name: known[name] for name in row} == row


def test_the_strokes_of_the_editor_take_what_metrics_json_says():
    figures = measured("ian", "latency")
    assert f"{figures['milliseconds']} ms after the last move in the median of {figures['n']}" in DOCS["figures"]
    assert f"{figures['milliseconds_95']} ms at the 95th percentile" in DOCS["figures"]
    assert "memory is {} MB early and {} MB after".format(*figures["megabytes"]) in DOCS["figures"]
    assert f"`{figures['command']}`" in DOCS["figures"]


def test_the_claims_of_other_networks_are_those_of_their_figures():
    for study, file in ((introspective, "ablations-ian.json"), (autoregressive, "ablations-pixelcnn.json")):
        figures = json.loads((ROOT / "docs" / file).read_text())
        tables = study.markdown(figures).strip().split("\n### ")
        assert all(one.strip() in DOCS["claims"] for one in tables)
        assert f"\n{figures['command']}\n" in DOCS["claims"]


def test_the_soak_is_that_of_soak_json():
    figures = json.loads((ROOT / "docs" / "soak.json").read_text())
    assert soaking.report(figures) in DOCS["deployment"]
    assert f"\n{figures['command']}\n" in DOCS["deployment"]
    assert figures["errors"] == {}
    assert figures["files"] == 0
    assert figures["memory_mb"]["late"] < 1.1 * figures["memory_mb"]["warm"]


def test_the_hard_soak_is_that_of_soak_hard_json():
    figures = json.loads((ROOT / "docs" / "soak-hard.json").read_text())
    assert hard_soak.report(figures) in DOCS["deployment"]
    assert f"\n{figures['command']}\n" in DOCS["deployment"]
    assert hard_soak.lost(figures) == []
    assert figures["left_out"] == []


def test_the_space_runs_what_is_pinned_here():
    pinned = dict(
        line.split(";")[0].strip().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()[2:]
    )
    assert f"sdk_version: {pinned['gradio']}\n" in README
    assert 'python_version: "3.12"\n' in README
    short = next(line for line in README.splitlines() if line.startswith("short_description: "))
    assert len(short) <= len("short_description: ") + 60
