"""Sliders when the hole changes: handlers without weights, then Chromium, faster than the sliders can follow."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from csi_demo.methods import Control
from csi_demo.ui import photo
from csi_demo.ui.engine import MAX_CONTROLS, MAX_OPTIONS, SLOT_IDS
from csi_demo.ui.panels import steer
from csi_demo.ui.subject import kept_start

from ..visitor import GLASSES, SMILE, PlainMethod, a_photo, painting, run_fill
from .browsing import PATIENCE, filled, preset, set_number, settle

PALE = Control("pale_skin", "Pale skin", -9.0, 9.0, 0.0, "How pale.")


@pytest.fixture
def by_hole(method: PlainMethod, faces: Any, monkeypatch: pytest.MonkeyPatch) -> PlainMethod:
    """A method whose first slider in a mouth is another one than in the whole square, with another range."""

    def relevance(self: PlainMethod, mask: Any) -> dict[str, float]:
        whole = not bool(mask.any())
        return {"pale_skin": 2.0, "smile": 1.0, "glasses": -1.0} if whole else {"glasses": 2.0, "pale_skin": -1.0}

    monkeypatch.setattr(PlainMethod, "controls", (SMILE, GLASSES, PALE))
    monkeypatch.setattr(PlainMethod, "relevance", relevance)
    return method


def at(first: float, second: float, spread: float = 1.0) -> tuple[float, ...]:
    """What the slots hold."""
    return (first, second, *[0.0] * (MAX_CONTROLS - 2), spread, *[0.0] * (MAX_OPTIONS - 1))


def test_what_was_moved_counts_in_the_next_hole_where_it_has_that_slider(by_hole: PlainMethod) -> None:
    shown = a_photo()
    whole, mouth = painting(shown, shown.preset("full")), painting(shown)
    start = steer.draw_sliders("plain", whole)["start"]
    moved = at(-8.0, 2.0, 0.5)  # pale skin, smile, spread; in a mouth the first is glasses
    assert "Filled in" in run_fill(start, moved, what=mouth)[-1]["status"]
    assert by_hole.calls[-1] == ({"smile": 2.0}, {"spread": 0.5})
    drawn = steer.draw_sliders("plain", mouth, start, *moved)
    assert [drawn[name]["value"] for name in (*SLOT_IDS[:2], SLOT_IDS[MAX_CONTROLS])] == [0.5, 2.0, 0.5]
    run_fill(drawn["start"], at(0.5, 2.0, 0.5), what=mouth)
    assert by_hole.calls[-1] == by_hole.calls[-2], "what the sliders show is what counted before they showed it"


def test_what_is_no_value_of_a_slider_is_left_behind(by_hole: PlainMethod) -> None:
    shown = a_photo()
    start = steer.draw_sliders("plain", painting(shown, shown.preset("full")))["start"]
    for value in (99.0, float("nan"), None, "high", []):
        assert "Filled in" in run_fill(start, at(value, value), what=painting(shown))[-1]["status"]  # type: ignore[arg-type]
    assert all(call == ({}, {}) for call in by_hole.calls)


def test_another_photo_or_a_suggestion_starts_afresh(by_hole: PlainMethod) -> None:
    shown, other = a_photo(), a_photo()
    start = steer.draw_sliders("plain", painting(shown))["start"]
    run_fill(start, at(1.0, 2.0), what=painting(other))
    assert by_hole.calls[-1] == ({}, {})
    assert steer.draw_sliders("plain", painting(other), start, *at(1.0, 2.0))["slider-1"]["value"] == 0.7
    suggested = photo.keep(replace(other, suggestion=(other.preset("mouth"), {"smile": -1.0})))
    for before in (None, start, steer.draw_sliders("plain", painting(other, other.preset("full")))["start"]):
        run_fill(before, at(1.0, 2.0), what=painting(suggested))
        assert by_hole.calls[-1] == ({"smile": -1.0}, {})


def test_surprise_and_resets_are_of_the_hole_that_is_painted(by_hole: PlainMethod) -> None:
    shown = a_photo()
    whole, mouth = painting(shown, shown.preset("full")), painting(shown)
    start = steer.draw_sliders("plain", whole)["start"]
    caught = steer.catch_up("plain", mouth, start, *at(-8.0, 2.0))
    drawn = kept_start(caught["start"])
    assert drawn
    assert [slot.name for slot in drawn.slots if slot][:2] == ["glasses", "smile"]
    assert steer.catch_up("plain", mouth, caught["start"], *at(0.5, 2.0)) == {}
    assert steer.surprise(start, mouth) == {}
    assert steer.reset_sliders(caught["start"], mouth)["slider-1"]["value"] == 0.7


# Chooses a hole and presses a button in the same moment.
HURRY = """([hole, button]) => {
  [...document.querySelectorAll(".csi-presets button")].find((one) => one.textContent === hole).click();
  document.querySelector(button).click();
}"""


@pytest.mark.slow
@pytest.mark.parametrize("button", ["#fill", "#compare"])
def test_a_fill_that_was_asked_for_before_the_sliders_followed(page: Page, button: str) -> None:
    set_number(page, "samples", 1)
    preset(page, "Eyes")
    settle(page)
    labels = page.locator("#main [data-testid=block-info]")
    before = labels.all_inner_texts()
    for index in range(len(before)):
        set_number(page, f"slider-{index}", -2.4)
    settle(page)
    held: list[Route] = []
    drawing: list[Route] = []

    def hold(route: Route) -> None:
        """Keeps what asks for a fill on its way, as a slow connection does; the sliders follow after that was asked."""
        data = json.loads(route.request.post_data or "{}").get("data", [])
        places = [place for place, value in enumerate(data[:4]) if isinstance(value, str) and '"runs"' in value]
        if places and places[0] >= 2:
            held.append(route)
        elif places == [1] and not held:
            drawing.append(route)
        else:
            route.continue_()

    page.route("**/queue/join*", hold)
    page.evaluate(HURRY, ["Mouth", button])
    deadline = time.monotonic() + PATIENCE / 1000
    while not held:
        assert time.monotonic() < deadline, "nothing asked for a fill"
        page.wait_for_timeout(50)
    for route in drawing:
        route.continue_()
    expect(labels.first).not_to_have_text(before[0], timeout=PATIENCE)
    held[0].continue_()
    status = page.locator("#status")
    expect(status).to_contain_text(re.compile(r"Filled in|Compared|out of range|wrong|gave up"), timeout=PATIENCE)
    expect(status).not_to_contain_text(re.compile("out of range|wrong|gave up"))
    page.unroute("**/queue/join*")
    settle(page)
    hurried = page.locator("#pictures .csi-after").get_attribute("src")
    if button == "#fill":
        assert filled(page) == hurried, "what the sliders show now is what counted"
