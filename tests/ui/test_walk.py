"""Random walks through the page: after each step its status, its buttons and its picture say the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, TimeoutError

from ..server import ROOT
from .browsing import PAINTED, PORTRAIT, downloaded, opened, paint, settle

PHOTOS = [PORTRAIT, ROOT / "examples" / "face-1.png", ROOT / "examples" / "astronaut.png"]
HOLES = ["Eyes", "Nose", "Mouth", "Lower half"]
MOVES = ["upload", "hole", "hole", "paint", "clear", "fill", "fill", "again", "slide", "slide", "undo", "undo", "redo"]
MOVES += ["example", "tab", "compare", "stop", "surprise", "reset", "use", "broken", "back", "sample"]
INERT = "button => button.closest('[inert]') !== null"
STATE = """() => {
  const text = (selector) => document.querySelector(selector)?.textContent.trim() ?? "";
  const works = Object.fromEntries(["fill", "again", "compare", "stop", "save", "strip", "gif", "use"].map(
    (name) => [name, !document.querySelector(`#${name}`).disabled]));
  const after = document.querySelector("#pictures .csi-after")?.dataset ?? {};
  return {
    status: text("#status .csi-status p"), trouble: document.querySelector("#status .csi-trouble") !== null,
    say: text("#painter .csi-say"), works, of: `${after.photo} ${after.edit}`,
    filled: document.querySelector("#painter .csi-filled") !== null && after.photo !== undefined,
    hidden: getComputedStyle(document.querySelector("#pictures")).display === "none",
    stale: document.querySelector(".csi-stale") !== null, inert: document.querySelector("#steer").inert,
    canvas: document.querySelector("#painter canvas").ariaLabel,
  };
}"""


def agrees(page: Page, settled: bool) -> dict[str, Any]:
    """What the page says, which must be so whether or not something is under way."""
    said: dict[str, Any] = page.evaluate(STATE)
    works, status = said["works"], said["status"]
    painted = json.loads(PAINTED[page][-1])
    here = f"{painted['photo']} {painted['edit']}"
    assert works["save"] == works["strip"] == works["gif"] == works["use"], said
    assert works["fill"] == works["compare"], said
    assert not (works["again"] and not works["save"]), said
    if not settled:
        return said
    assert not works["stop"], said
    assert not status.startswith(("Reading", "Getting", "Waiting", "Filling", "Stopping", "Drawing")), said
    hole = len(painted["runs"]) > 1
    assert works["fill"] == hole, said
    assert said["inert"] != hole, said
    assert ("no hole yet" in status) == (not hole), said
    assert ("no hole yet" in said["canvas"]) == (not hole), said
    assert works["save"] == (said["filled"] and said["of"] == here), (said, here)
    if status.startswith(("Filled", "Compared", "An earlier")):
        assert works["save"], said
    if works["save"]:
        assert " filled, " in said["canvas"], said
        assert not said["stale"], said
    elif said["of"].split()[0] not in (painted["photo"], "undefined"):
        assert said["hidden"], said
    assert not (said["trouble"] and works["save"] and "download" not in status and "gave up" not in status), said
    return said


def click(page: Page, selector: str) -> None:
    """Presses what works and is there, as a visitor does."""
    found = page.locator(selector).first
    if found.count() and found.is_visible() and found.is_enabled() and not found.evaluate(INERT):
        with suppress(TimeoutError):  # what came of the step before may just have changed what works
            found.click(timeout=2000)


def step(page: Page, move: str, rng: random.Random, folder: Path) -> None:
    slider = page.locator(f"#slider-{rng.randrange(3)} input[type=range]")
    broken = folder / "broken.png"
    broken.write_bytes(b"no picture")
    hands: dict[str, Callable[[], object]] = {
        "upload": lambda: page.set_input_files("#painter [data-pick=open]", rng.choice(PHOTOS)),
        "broken": lambda: page.set_input_files("#painter [data-pick=open]", broken),
        "hole": lambda: page.get_by_role("button", name=rng.choice(HOLES), exact=True).click(),
        "paint": lambda: paint(page, [(0.42, 0.24), (0.46, 0.26)]),
        "clear": lambda: click(page, "#painter [data-act=clear]"),
        "slide": lambda: slider.press(rng.choice(["ArrowLeft", "ArrowRight", "Home", "End"])),
        "undo": lambda: page.keyboard.press("Control+z"),
        "redo": lambda: page.keyboard.press("Control+y"),
        "example": lambda: click(page, f"#examples [data-example='{rng.randrange(4)}']"),
        "tab": lambda: (page.get_by_role("tab", name="Edit").click(), page.get_by_role("tab", name="Fill").click()),
        "back": lambda: click(page, "#visit [data-result]"),
        "sample": lambda: click(page, "#pictures [data-sample='1']"),
    }
    if move == "slide" and not (slider.is_visible() and page.evaluate("!document.querySelector('#steer').inert")):
        return
    hands.get(move, lambda: click(page, f"#{move}"))()


def walk(browser: Browser, url: str, folder: Path, seed: int, steps: int) -> None:
    rng = random.Random(seed)
    width, height = rng.choice([(1280, 900), (1366, 650), (390, 844)])
    with opened(browser, url, viewport={"width": width, "height": height}) as page:
        settle(page)
        done: list[str] = []
        for _ in range(steps):
            done.append("stop" if done[-1:] == ["compare"] else rng.choice(MOVES))  # comparing takes long
            try:
                step(page, done[-1], rng, folder)
                agrees(page, settled=False)
                if rng.random() < 0.7:  # else the next step comes while this one is under way
                    settle(page)
                    page.wait_for_timeout(300)
                    settle(page)
                    agrees(page, settled=True)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {done}") from error
        settle(page)
        if agrees(page, settled=True)["works"]["save"]:
            downloaded(page, r".+\.(png|jpg)")


def test_a_short_walk(browser: Browser, url: str, tmp_path: Path) -> None:
    walk(browser, url, tmp_path, 0, 12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 51))
def test_a_walk_of_sixty_steps(browser: Browser, url: str, tmp_path: Path, seed: int) -> None:
    walk(browser, url, tmp_path, seed, 60)
