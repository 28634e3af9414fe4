"""Every handler and endpoint, fuzzed without weights."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import orjson
import pytest
from gradio import Error
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from csi_demo.errors import PageError
from csi_demo.ui import api, engine, examples, filling, painter, photo
from csi_demo.ui.inputs import PageInputs
from csi_demo.ui.panels.fill import choose_compared, recall
from csi_demo.ui.panels.hood import show_masked
from csi_demo.ui.panels.steer import draw_sliders
from csi_demo.ui.panels.subject import choose_face, open_example, place_by_hand, take_upload
from csi_demo.ui.wiring import Update

from ..visitor import FRAME_FILE, LONG, PlainMethod, a_photo, file_of, noise

texts = st.text(max_size=30) | st.sampled_from(
    ["plain", "Crisp", LONG, "\ud800", "nan", "inf", "1e999", "\0", "²", "٣"]
)
numbers = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63) - 1, 10**400, True, float("nan")])
values: st.SearchStrategy[Any] = st.deferred(
    lambda: st.none() | numbers | texts | st.lists(values, max_size=4) | st.dictionaries(texts, values, max_size=4)
)
fuzzed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def sendable(update: Any) -> None:
    """What a handler returns can be sent to a browser."""
    orjson.dumps(update, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_DATACLASS)


def shows(update: Update) -> None:
    """The sliders' starts stay on the server; the rest can be sent."""
    sendable({name: value for name, value in update.items() if name != "start"})


@pytest.fixture(scope="module")
def shown() -> photo.Photo:
    patched = pytest.MonkeyPatch()
    patched.setattr("csi_demo.ui.photo._faces", lambda picture: [])
    made = a_photo(file_of(noise(80, 60)))
    patched.undo()
    return made


@st.composite
def paintings(draw: Any) -> Any:
    """Anything, and what is nearly right."""
    content = {"photo": PHOTO_KEY, "size": [80, 60], "runs": [0, 4800]}
    for name in draw(st.sets(st.sampled_from(sorted(content)))):
        content[name] = draw(values | st.lists(st.integers(0, 4800), max_size=5))
    return draw(values | st.just(json.dumps(content)) | values.map(json.dumps))


PHOTO_KEY = "the-fuzzed-photo"


@pytest.fixture
def fuzz(method: PlainMethod, faces: list[Any], shown: photo.Photo) -> None:
    """A photo under the fuzzed key, and the only method."""
    from dataclasses import replace

    photo.keep(replace(shown, key=PHOTO_KEY))


@fuzzed
@given(values, st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_any_painting_is_read_or_refused(value: Any, size: tuple[int, int]) -> None:
    try:
        content = painter.read(value)
    except PageError as error:
        sendable(str(error))
        return
    with contextlib.suppress(PageError):
        assert painter.to_mask(content, size).shape == size[::-1]


@fuzzed
@given(st.dictionaries(st.sampled_from(["size", "runs", "photo"]), values | st.lists(st.integers(-3, 30))))
@example({"size": [4, 3], "runs": [True, 11]})
@example({"size": [4.0, 3], "runs": [12]})
def test_any_runs_are_a_mask_or_refused(content: dict[str, Any]) -> None:
    with contextlib.suppress(PageError):
        mask = painter.to_mask({"size": [4, 3]} | content, (4, 3))
        assert (mask.shape, mask.dtype) == ((3, 4), bool)


@fuzzed
@given(paintings(), values, values, values, values, values)
@example(json.dumps({"photo": PHOTO_KEY}), LONG, LONG, LONG, LONG, LONG)
@example(json.dumps({"photo": PHOTO_KEY}), "²", float("nan"), float("inf"), 10**400, True)
def test_the_handlers_of_the_photo_never_fail(
    fuzz: None, painting: Any, one: Any, x: Any, y: Any, size: Any, turn: Any
) -> None:
    sendable(show_masked(painting, one))
    sendable(choose_face(painting, one))
    sendable(place_by_hand(painting, x, y, size, turn))
    sendable(take_upload(painting))


@fuzzed
@given(values, paintings())
def test_drawing_sliders_never_fails(fuzz: None, name: Any, painting: Any) -> None:
    shows(draw_sliders(name, painting))


@fuzzed
@given(paintings(), st.lists(values, min_size=7, max_size=7), st.lists(values, max_size=20))
def test_filling_never_fails(fuzz: None, painting: Any, arguments: list[Any], slots: list[Any]) -> None:
    method, look, where, refine, start, seed, samples = arguments
    values = (method, painting, look, where, refine, start, seed, samples, *slots)
    for update in (*filling.fill(PageInputs.of(*values)), *filling.refill(start, *values)):
        sendable(update)


@fuzzed
@given(st.lists(values, max_size=20))
def test_any_slider_values_are_used_or_refused(fuzz: None, slots: list[Any]) -> None:
    what = json.dumps({"photo": PHOTO_KEY, "size": [80, 60], "runs": [0, 4800]})
    values = ("plain", what, "Crisp", "64x64", True, draw_sliders("plain", what)["start"], 0, 1, *slots)
    updates = list(filling.fill(PageInputs.of(*values)))
    assert len(updates) >= 2
    sendable(updates)
    sendable(list(filling.refill(None, *values)))


@fuzzed
@given(values)
@example(["csi"])
@example({"csi": 1})
@example("\ud800")
def test_any_method_is_known_or_refused(name: Any) -> None:
    with pytest.raises(PageError) as caught:
        engine.load(name or "none")
    sendable(str(caught.value))


@fuzzed
@given(values | st.lists(values, max_size=8))
@example(["csi", "\ud800"])
@example([["csi"]])
def test_any_choice_of_methods_is_taken_or_refused(names: Any) -> None:
    try:
        assert engine.compared(names)
    except PageError as error:
        sendable(str(error))
    sendable(choose_compared(names))
    sendable(recall(names))


FRAME_TEXT = base64.b64encode(FRAME_FILE.read_bytes()).decode()


@fuzzed
@given(
    st.just(FRAME_TEXT) | values,
    st.just("mouth") | values,
    values,
    st.just(0) | values,
    st.just(1) | values,
    st.none() | st.dictionaries(texts | st.just("smile"), values, max_size=3),
    st.just(1) | values,
)
@example(FRAME_TEXT, "mouth", "plain", 0, 1, {"smile": 10**400}, 1)
@example(FRAME_TEXT, "random:" + "9" * 33, "plain", 0, 1, None, 1)
@example(FRAME_TEXT, "random:²", "plain", 0, 1, None, 1)
@example(FRAME_TEXT, "mouth", "plain", 0, 1, {"\ud800": "x"}, 1)
@example("\ud800", "mouth", "plain", 0, 1, None, 1)
def test_the_endpoints_raise_their_own_errors_only(
    fuzz: None, picture: Any, mask: Any, method: Any, seed: Any, samples: Any, given_settings: Any, face: Any
) -> None:
    for call, arguments in (
        (api.complete, (picture, mask, method, seed, samples, given_settings, face)),
        (api.compare, (picture, mask, seed, face)),
        (api.list_controls, (method,)),
    ):
        try:
            sendable(call(*arguments))  # type: ignore[operator]
        except Error as error:
            sendable(str(error))


PHOTOS = sorted({one.photo for one in examples.all_examples()})


@fuzzed
@given(
    st.dictionaries(texts, texts)
    | st.fixed_dictionaries(
        {"photo": st.sampled_from(PHOTOS)},
        optional={
            "hole": texts | st.sampled_from(["mouth", "painted:", "painted:AAAA", "random:²", "1,2,3,4"]),
            "seed": texts | st.integers().map(str),
            "samples": texts | st.integers(-1, 9).map(str),
            "method": texts,
            "set": texts | st.builds("smile:{}".format, st.floats() | texts),
            "place": texts | st.builds("{},{},{},{}".format, st.floats(), st.floats(), st.floats(), st.floats()),
        },
    )
)
@example({"photo": PHOTOS[0], "seed": "9" * 300})
@example({"photo": PHOTOS[0], "set": "smile:nan,spread:inf"})
@example({"photo": PHOTOS[0], "hole": "random:²"})
def test_any_link_opens_or_is_refused(fuzz: None, query: dict[str, str]) -> None:
    try:
        linked = examples.from_link(query)
    except PageError:
        return
    if linked:
        update = open_example(linked)
        sendable(update)
        if "photo" in (scene := json.loads(update["painter"])):
            scene = {name: scene.get(name) for name in ("photo", "size", "runs")}
            shows(draw_sliders("plain", json.dumps(scene)))
