"""What programs call, on the real server: gradio_client, curl and MCP, and what they may send by mistake or malice."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from csi_demo import complete_photo
from csi_demo.methods import available_methods

from ..server import PATIENCE, ROOT

FRAME = ROOT / "examples" / "astronaut.png"
API = (ROOT / "docs" / "api.md").read_text()
TOOLS = {"complete", "compare", "edit", "list_methods", "list_controls"}


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


def encoded(file: Path = FRAME) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def decoded(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))


def test_endpoints_are_the_public_ones(client: Client) -> None:
    told = client.view_api(return_format="dict", print_info=False)
    assert set(told["named_endpoints"]) == {f"/{name}" for name in TOOLS}
    assert not told["unnamed_endpoints"]


def test_mcp_offers_the_public_tools_only(url: str) -> None:
    tools = httpx.get(f"{url}gradio_api/mcp/schema").raise_for_status().json()
    assert {tool["name"] for tool in tools} == TOOLS
    (complete,) = [tool for tool in tools if tool["name"] == "complete"]
    assert set(complete["inputSchema"]["properties"]) == set(
        ("picture", "mask", "method", "seed", "samples", "settings", "face", "refine", "hints")
    )
    told = {name: one["description"] for name, one in complete["inputSchema"]["properties"].items()}
    assert told["mask"].endswith("or a picture of the photo's size, sent likewise, black where the hole is.")
    assert all(text.endswith(".") for text in told.values())


def test_a_language_model_gets_pictures(url: str, tmp_path: Path) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def call() -> Any:
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as model,
        ):
            await model.initialize()
            words = {"picture": encoded(), "mask": "mouth", "method": "vae", "settings": {"iterations": 1}}
            return await model.call_tool("complete", words)

    text, looked_at, file = asyncio.run(call()).content
    answer = json.loads(text.text)
    assert answer["pictures"] == ["picture://1.png"]
    assert answer["face_found"] is None
    assert (looked_at.type, looked_at.mimeType) == ("image", "image/png")
    assert Image.open(io.BytesIO(base64.b64decode(looked_at.data))).size == (64, 64)
    assert file.resource.blob == looked_at.data


def test_an_answer_says_where_the_face_was_and_that_there_was_none(client: Client) -> None:
    settings = {"iterations": 1}
    found = client.predict(
        handle_file(str(ROOT / "examples" / "astronaut.jpg")), "eyes", "vae", 0, 1, settings, api_name="/complete"
    )
    assert (found["face_found"], found["notes"]) == (True, [])
    assert abs(found["placement"]["x"] - 222) < 40
    assert len(found["placement"]["corners"]) == 4
    buffer = io.BytesIO()
    Image.effect_noise((200, 120), 20).save(buffer, "PNG")
    nobody = base64.b64encode(buffer.getvalue()).decode()
    found = client.predict(nobody, "eyes", "vae", 0, 1, settings, api_name="/complete")
    assert found["face_found"] is False
    assert found["notes"] == ["no face found: the largest square in the middle of the photo is filled in"]
    assert found["placement"]["size"] == 120


def test_a_call_with_named_arguments_and_the_description_of_all(url: str) -> None:
    paths = httpx.get(f"{url}gradio_api/openapi.json").raise_for_status().json()["paths"]
    assert {f"/gradio_api/call/v2/{name}" for name in TOOLS} <= set(paths)
    words = {"picture": encoded(), "mask": "eyes", "method": "vae", "settings": {"iterations": 1}}
    event = httpx.post(f"{url}gradio_api/call/v2/complete", json=words).raise_for_status().json()["event_id"]
    answer = httpx.get(f"{url}gradio_api/call/complete/{event}", timeout=PATIENCE).text
    assert json.loads(answer.rpartition("data: ")[2])[0]["seeds"] == [0]


def test_endpoints_that_are_none_and_calls_that_are_gone_are_said(url: str) -> None:
    for name in ("predict", "complete2", "delete"):
        assert httpx.post(f"{url}gradio_api/call/{name}", json={"data": []}).status_code == 404
    answer = httpx.get(f"{url}gradio_api/call/complete/0123456789", timeout=PATIENCE).text
    assert "event: error" in answer
    assert "null" not in answer
    event = httpx.post(f"{url}gradio_api/call/complete", json={"data": [{"path": "/etc/passwd"}]}).json()["event_id"]
    answer = httpx.get(f"{url}gradio_api/call/complete/{event}", timeout=PATIENCE).text
    assert "event: error" in answer
    assert "null" not in answer.replace('"duration": null', "")


def test_methods_and_controls_are_told(client: Client) -> None:
    assert [one["name"] for one in client.predict(api_name="/list_methods")] == list(available_methods())
    controls = client.predict("csi", api_name="/list_controls")
    assert {"z0", "spread"} <= {one["name"] for one in controls}
    assert {one["kind"] for one in controls} >= {"option"}


def test_a_file_and_base64_give_what_python_gives(client: Client) -> None:
    settings = {"temperature": 0.5}
    expected = complete_photo(Image.open(FRAME), "mouth", "vae", seeds=(5, 6), options=settings)
    for picture in (handle_file(str(FRAME)), encoded(), f"data:image/png;base64,{encoded()}"):
        found = client.predict(picture, "mouth", "vae", 5, 2, settings, api_name="/complete")
        assert found["seeds"] == [5, 6]
        for source, wanted in zip(found["pictures"], expected, strict=True):
            assert np.array_equal(decoded(source), np.asarray(wanted))


def test_a_painted_mask_counts(client: Client) -> None:
    mask = np.full((64, 64), 255, np.uint8)
    mask[10:20, 30:50] = 0
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    painted = base64.b64encode(buffer.getvalue()).decode()
    (source,) = client.predict(encoded(), painted, "vae", api_name="/complete")["pictures"]
    changed = (decoded(source) != np.asarray(Image.open(FRAME).convert("RGB"))).any(-1)
    assert changed[mask == 0].mean() > 0.9
    assert not changed[mask == 255].any()


@pytest.mark.slow
def test_compare_has_every_method(client: Client) -> None:
    found = client.predict(encoded(), "nose", 3, api_name="/compare")
    assert list(found) == list(available_methods())
    assert all(one["seeds"] == [3] and len(one["pictures"]) == 1 for one in found.values())


BOMB = Image.new("1", (9000, 9000))  # 81 megapixels in 10 kB


def bomb() -> str:
    buffer = io.BytesIO()
    BOMB.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def one_pixel() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def portable_map() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PPM")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"picture": "no base64!"}, "neither an uploaded file nor base64"),
        ({"picture": "aGVsbG8="}, "not a picture that can be read"),
        ({"picture": None}, "is a text of at most"),
        ({"picture": bomb()}, "40 megapixels at most"),
        ({"picture": one_pixel()}, "the photo has 1x1 pixels: at least 8x8 are needed"),
        ({"picture": portable_map()}, "not a picture that can be read"),
        ({"picture": {"path": "/etc/passwd"}}, "did not arrive"),
        ({"picture": {"path": "../../../../etc/passwd"}}, "did not arrive"),
        ({"picture": {"path": ["/etc/passwd"]}}, "did not arrive"),
        ({"mask": "ear"}, "unknown mask 'ear'"),
        ({"mask": "?" * 10_000}, "neither an uploaded file nor base64"),
        ({"mask": 7}, "The mask is a text"),
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"method": "x" * 10_000}, "The method is a text of at most 40"),
        ({"seed": -1}, "The seed is a whole number"),
        ({"seed": "7" * 10_000}, "The seed is a whole number"),
        ({"seed": 1e300}, "The seed is a whole number"),
        ({"samples": 9}, "from 1 to 8"),
        ({"samples": True}, "from 1 to 8"),
        ({"face": 2}, "there is no face 2"),
        ({"face": 0}, "The face is a whole number"),
        ({"settings": {"z99": 1.0}}, "z99"),
        ({"settings": {"z0": 99.0}}, "z0=99 is out of range"),
        ({"settings": {"z0": "high"}}, "The setting z0 is not a number"),
        ({"settings": {str(k): 0 for k in range(1000)}}, "at most 100 numbers"),
        ({"settings": [1, 2]}, "at most 100 numbers"),
    ],
)
def test_bad_input_is_answered_in_one_line(url: str, wrong: dict[str, Any], message: str) -> None:
    sent = {
        "picture": encoded(),
        "mask": "mouth",
        "method": "csi",
        "seed": 0,
        "samples": 1,
        "settings": None,
        "face": 1,
    }
    calls = f"{url}gradio_api/call/complete"
    number = httpx.post(calls, json={"data": list((sent | wrong).values())}, timeout=60).json()["event_id"]
    answer = httpx.get(f"{calls}/{number}", timeout=60).text
    assert "event: error" in answer, answer[:500]
    told = json.loads(answer.split("data: ", 1)[1].splitlines()[0])
    assert message in str(told.get("error", told))
    assert "Traceback" not in answer


@pytest.mark.parametrize("size", [(20, 5000), (5000, 20)])
def test_a_strip_is_filled_in_its_middle(client: Client, size: tuple[int, int], tmp_path: Path) -> None:
    Image.linear_gradient("L").resize(size).convert("RGB").save(tmp_path / "strip.png")
    sent = {"picture": handle_file(str(tmp_path / "strip.png")), "method": "vae-oneshot", "api_name": "/complete"}
    (picture,) = client.predict(**sent)["pictures"]
    before, after = np.asarray(Image.open(tmp_path / "strip.png")), decoded(picture)
    assert after.shape == before.shape
    rows, columns = np.nonzero((after != before).any(2))
    assert abs(rows.mean() - size[1] / 2) < 15
    assert abs(columns.mean() - size[0] / 2) < 15


def test_a_short_call_that_is_no_endpoint_logs_nothing(url: str) -> None:
    events = httpx.get(f"{url}config", timeout=60).json()["dependencies"]
    several = next(event["id"] for event in events if len(event["inputs"]) > 1 and event["backend_fn"])
    body = {"data": ["a secret"], "fn_index": several, "session_hash": "short"}
    assert httpx.post(f"{url}gradio_api/queue/join", json=body, timeout=60).status_code == 200
    answer = httpx.get(f"{url}gradio_api/queue/data", params={"session_hash": "short"}, timeout=60).text
    assert "Values are missing" in answer  # the log is looked through when the server ends


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", API, re.DOTALL)


def test_the_python_of_the_readme_runs(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill, edit = (block for block in blocks("python") if "gradio_client" in block)
    shutil.copyfile(ROOT / "examples" / "astronaut.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(fill.replace("http://127.0.0.1:7860/", url), {})
    assert Image.open(tmp_path / "filled.png").size == (512, 512)
    told: dict[str, Any] = {}
    exec(edit.replace("http://127.0.0.1:7860/", url), told)
    assert decoded(told["edited"]).shape == (512, 512, 3)


def test_strokes_give_the_same_bytes_everywhere(client: Client, tmp_path: Path) -> None:
    (entry,) = (json.loads(block) for block in blocks("json"))
    entry = entry | {"points": entry["points"][:1], "steps": 3}
    (x, y), size, colour = entry["points"][0], entry["size"], entry["colour"]
    sent = client.predict(handle_file(str(FRAME)), [entry], {"smile": 1.0}, api_name="/edit")["picture"]
    edited, drawn = tmp_path / "edited.png", tmp_path / "drawn.png"
    said = ["edit", str(FRAME), "--paint", f"{x},{y},{size},{colour},3", "--set", "smile=1", "--out", str(edited)]
    program = f"""
from csi_demo.cli import main
from csi_demo.editing.strokes import edit_photo, from_json
from csi_demo.photo.reading import open_photo
from csi_demo.pixels import png
assert main({said}) == 0
picture = edit_photo(open_photo({str(FRAME)!r}), from_json([{entry}]), latents={{"smile": 1.0}})
open({str(drawn)!r}, "wb").write(png(picture))
"""
    # On as many threads as the page: another number rounds differently.
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=PATIENCE)
    assert edited.read_bytes() == base64.b64decode(sent.partition(",")[2])
    assert drawn.read_bytes() == edited.read_bytes()


@pytest.mark.parametrize(
    ("strokes", "more", "message"),
    [
        ([{"x": 900, "y": 9, "size": 8, "colour": "#000000"}], {}, "outside the square"),
        ([{"x": 9, "y": 9, "size": 0, "colour": "#000000"}], {}, "out of range"),
        ([{"x": 9, "y": 9, "size": 8, "colour": "red"}], {}, "no colour"),
        ([{"x": 9, "y": 9, "size": 8, "colour": "#000000", "steps": 201}], {}, "too much for one call"),
        ([{"points": [[9, 9]] * 3000, "size": 8, "colour": "#000000"}], {}, "more than 1000 points"),
        ([], {"latents": {"charm": 1.0}}, "unknown latent"),
        ([], {"strength": 0}, "strength"),
        ([], {"plain": 3}, "true or false"),
    ],
)
def test_strokes_that_cannot_be_are_one_line(client: Client, strokes: Any, more: Any, message: str) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(handle_file(str(FRAME)), strokes, **more, api_name="/edit")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_of_the_readme_runs(url: str, tmp_path: Path) -> None:
    (script,) = [block for block in blocks("sh") if "curl" in block]
    shutil.copyfile(ROOT / "examples" / "astronaut.jpg", tmp_path / "photo.jpg")
    script = script.replace("http://127.0.0.1:7860/", url)
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "data:image/png;base64," in run.stdout, run.stdout[:500]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_the_javascript_of_the_document_runs(url: str, tmp_path: Path) -> None:
    (script,) = blocks("js")
    shutil.copyfile(ROOT / "examples" / "astronaut.jpg", tmp_path / "photo.jpg")
    (tmp_path / "call.mjs").write_text(script.replace("http://127.0.0.1:7860/", url))
    subprocess.run(["node", "call.mjs"], cwd=tmp_path, check=True, timeout=PATIENCE)
    assert Image.open(tmp_path / "filled.png").size == (512, 512)


def test_a_file_that_is_no_picture_is_refused(client: Client) -> None:
    with pytest.raises(AppError, match="not a picture"):
        client.predict(handle_file(str(ROOT / "LICENSE")), api_name="/complete")
