"""Links that open an example as it was left, and pages of others that embed it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from csi_demo.errors import PageError
from csi_demo.ui.examples import (
    LONGEST_LINK,
    Example,
    all_examples,
    edit_from_link,
    edit_link,
    from_link,
    hole_name,
    read_query,
)
from csi_demo.ui.panels.subject import open_example

from ..server import ROOT
from .browsing import PATIENCE, PORTRAIT, filled, opened, paint, preset, set_number, settle, unfold, upload

# Where the page ends, what is to be seen of it, and the frame.
ENDS = """page => [page.scrollHeight, page.querySelector("#tabs").getBoundingClientRect().bottom, window.innerHeight]"""
EDIT = "photo=astronaut.jpg&tab=edit&edit=0"
EXAMPLE = Example("astronaut.png", "", "nose", 7, 3, "csi", {"z3": -1.5, "spread": 2.0}, "32.0,30.5,60.0,5.0")


def test_a_link_says_what_an_example_says() -> None:
    for example in (EXAMPLE, *all_examples()):
        again = from_link(dict(parse_qsl(example.link())))
        assert again is not None
        assert {**vars(again), "title": ""} == {**vars(example), "title": ""}
    assert from_link({}) is None
    assert from_link({"embed": "1"}) is None


def test_a_painted_hole_is_packed_and_unpacked() -> None:
    shown, _ = all_examples()[0].open()
    mask = np.ones(shown.view.size[::-1], bool)
    mask[200:231, 210:250] = False
    example = Example("astronaut.jpg", "", hole_name(shown, mask))
    assert example.hole not in ("mouth", "eyes")
    assert len(example.link()) < 1000
    assert np.array_equal(example.open()[1], mask)
    assert hole_name(shown, shown.preset("left")) == "left"
    noise = np.random.default_rng(0).random(mask.shape) < 0.5
    assert Example("astronaut.jpg", "", hole_name(shown, noise)).link() == ""


@pytest.mark.parametrize(
    "query",
    [
        {"photo": "../LICENSE"},
        {"photo": "/etc/passwd"},
        {"photo": "astronaut.png", "seed": "seven"},
        {"photo": "astronaut.png", "set": "z0"},
        {"photo": "astronaut.png", "set": "z0:high"},
        {"photo": "astronaut.png", "hole": "x" * LONGEST_LINK},
    ],
)
def test_damaged_links_are_said_to_be(query: dict[str, str]) -> None:
    with pytest.raises(PageError, match="damaged"):
        from_link(query)


def test_a_link_to_the_editor_says_which_photo_and_edit() -> None:
    shown, _ = all_examples()[0].open()
    for edit, query in ((1, edit_link(shown, 1)), (-1, edit_link(shown))):
        found = read_query(f"?{query}")
        assert edit_from_link(found) == edit
        again = from_link(found)
        assert again is not None
        assert again.open()[0].place == shown.place
    assert edit_link(replace(shown, example="")) == ""
    assert edit_from_link({"photo": "astronaut.jpg"}) is None
    for wrong in ("one", "9" * 99, "-2"):
        with pytest.raises(PageError, match="damaged"):
            edit_from_link({"tab": "edit", "edit": wrong})
    for text in (None, 7, "x" * 20_000):
        with pytest.raises(PageError, match="damaged"):
            read_query(text)


@pytest.mark.parametrize(
    "changes",
    [{"hole": "painted:!!!"}, {"hole": "painted:eJwDAAAAAAE="}, {"hole": "ear"}, {"place": "1,2"}, {"place": "1,2,0"}],
)
def test_what_a_link_holds_is_checked_when_it_opens(changes: dict[str, str]) -> None:
    example = from_link({"photo": "astronaut.png", **changes})
    assert example is not None
    with pytest.raises(PageError):
        example.open()
    update = open_example(example)
    assert update.keys() == {"painter"}
    assert "trouble" in update["painter"]


def shared(page: Page, kind: str) -> str:
    if not page.locator(".csi-share[open]").count():
        page.click(".csi-share summary")
    return page.locator(f"[data-share={kind}]").input_value()


def test_a_link_reproduces_the_picture_in_another_browser(browser: Browser, url: str, page: Page) -> None:
    page.click("#examples [data-example='2']")
    settle(page)
    page.click("#painter [data-act=clear]")
    paint(page, [(0.3, 0.6), (0.6, 0.75)])
    settle(page)
    set_number(page, "samples", 1)
    set_number(page, "seed", 11)
    start = float(page.locator("#slider-1 input[type=number]").input_value())
    set_number(page, "slider-1", -2 if start > 0 else 2)
    picture = filled(page)
    link = shared(page, "link")
    assert link.startswith(f"{url}?photo=astronaut.png")
    with opened(browser, link) as other:
        expect(other.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)
        settle(other)
        unfold(other, "#settings")
        assert other.locator("#pictures .csi-after").get_attribute("src") == picture
        for field in ("seed", "samples", "slider-1"):
            number = f"#{field} input[type=number], #{field} input"
            assert other.locator(number).first.input_value() == page.locator(number).first.input_value()
        assert filled(other) == picture


@pytest.mark.slow
def test_a_damaged_link_opens_the_page(browser: Browser, url: str) -> None:
    with opened(browser, f"{url}?photo=nobody.png") as page:
        expect(page.locator("#status")).to_contain_text("This link is damaged", timeout=PATIENCE)


@pytest.mark.slow
def test_a_visitors_own_photo_has_no_link(page: Page, tmp_path: Path) -> None:
    upload(page, PORTRAIT)
    preset(page, "Eyes")
    settle(page)
    filled(page)
    page.click(".csi-share summary")
    expect(page.locator("#share")).to_contain_text("your photo stays with you")
    assert page.locator("[data-share=link]").count() == 0
    assert page.locator("[data-share=settings]").input_value().startswith("CSI, seed ")


@contextmanager
def served(folder: Path, body: str) -> Iterator[str]:
    """A page of somebody else, on another port."""
    (folder / "index.html").write_text(
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">{body}'
    )
    handler: Any = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def blog(tmp_path: Path, url: str) -> Iterator[str]:
    """A page with three frames: an example, one with its slider alone, and the editor; they are as high as they say."""
    moved = Example("face-1.png", "", "mouth", 3, 1, "csi", {"lipstick": 1.2}).link()
    plain = Example("face-1.png", "", "eyes", 3, 1).link()
    frames = "".join(
        f'<p>Text</p><iframe id="embed-{index}" src="{url}?{query}" width="700" height="500" '
        'style="border: 0; width: 100%; max-width: 700px"></iframe>'
        for index, query in enumerate((f"{plain}&embed=1", f"{moved}&embed=slider", f"{EDIT}&embed=1"))
    )
    guide = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
    frames += guide[guide.index("<script>addEventListener") : guide.index("</script>") + len("</script>")]
    with served(tmp_path, f'<body style="margin: 0 auto; max-width: 700px">{frames}') as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(700, "light"), (390, "dark")])
def test_embeds_on_a_blog_page(browser: Browser, blog: str, width: int, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(blog)
    for index, canvas in enumerate(("#painter", "#painter", "#editor")):
        frame = page.frame_locator(f"#embed-{index}")
        if canvas == "#painter":
            expect(frame.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)
            expect(frame.locator("#painter .csi-filled")).to_be_visible()
        else:
            expect(frame.locator("#editor .csi-ready")).to_be_visible(timeout=PATIENCE)
            expect(frame.locator("#editor [data-act=undo]")).to_be_enabled()
        for hidden in ("#title", "#colophon", "footer", "#examples", "#edits", "#share", "#edit-share"):
            expect(frame.locator(hidden)).to_be_hidden()
        expect(frame.locator("#slider-0 input[type=range]")).to_be_visible(visible=index == 0, timeout=PATIENCE)
        assert frame.locator("html").evaluate("page => page.scrollWidth <= window.innerWidth")
        deadline = time.monotonic() + PATIENCE / 1000
        while True:
            whole, seen, height = frame.locator("html").evaluate(ENDS)
            if abs(whole - height) <= 2 and abs(seen - height) <= 6:
                break
            assert time.monotonic() < deadline, f"something is cut off, or left empty: {whole}, {seen}, {height}"
            page.wait_for_timeout(200)  # the height is told some times a second
        stage = frame.locator(f"{canvas} .csi-stage").bounding_box()
        assert stage
        assert stage["width"] >= width - 12
        dark = frame.locator("body").evaluate("body => body.classList.contains('dark')")
        assert dark == (scheme == "dark")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    only = page.frame_locator("#embed-1")
    expect(only.locator("input[type=range]:visible")).to_have_count(2)  # before and after, and lipstick
    expect(only.locator("#main .block:visible")).to_contain_text("Lipstick")
    expect(only.locator("button:visible:not(.reset-button)")).to_have_count(0)
    before = only.locator("#pictures .csi-after").get_attribute("src") or ""
    only.locator("#main .block:visible input[type=range]").press("Home")
    expect(only.locator("#pictures .csi-after")).not_to_have_attribute("src", before, timeout=PATIENCE)
    page.close()


@pytest.mark.slow
def test_a_component_brings_the_page_into_another_without_a_third(
    browser: Browser, url: str, page: Page, tmp_path: Path
) -> None:
    settle(page)
    set_number(page, "slider-0", -1.5)
    picture = filled(page)
    with served(tmp_path, f"<p>Text</p>{shared(page, 'component')}") as address:
        other, asked = browser.new_page(), list[str]()
        other.on("request", lambda request: asked.append(request.url))
        other.goto(address)
        expect(other.locator("gradio-app #slider-0 input[type=number]")).to_be_visible(timeout=PATIENCE)
        expect(other.locator("gradio-app #status")).to_contain_text("Filled in", timeout=PATIENCE)
        expect(other.locator("gradio-app #slider-0 input[type=number]")).to_have_value("-1.5", timeout=PATIENCE)
        assert other.locator("gradio-app #pictures .csi-after").get_attribute("src") == picture
        other.close()
    assert f"{url}component.js" in asked
    assert all(one.startswith((url, address, "data:", "blob:")) for one in asked)
