"""Strokes of the photo editor as the measurement draws them."""

from __future__ import annotations

from typing import Any

import pytest

from csi_demo.errors import EditError
from csi_demo.ops import painting


def test_a_stroke_ends_with_its_last_move(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(painting, "_said", lambda session, message: said.append(message))
    monkeypatch.setattr(painting.editing, "opened", lambda shown: None)
    monkeypatch.setattr(painting, "SETTLED", 2)
    figures = painting.measure_strokes(strokes=3, undos=2)
    assert [message["act"] for message in said if message["act"] != "paint"] == ["look"] * 3 + ["undo"] * 2
    paths = [[one["points"][0] for one in said if one.get("stroke") == number] for number in range(3)]
    for path in paths:
        assert 1 <= len(path) <= painting.MOVES
        assert len({tuple(point) for point in path}) == len(path)  # no move is painted twice
        assert path == sorted(path)
    assert figures["n"] == 3
    assert 0.0 <= figures["milliseconds"] <= figures["milliseconds_95"]
    assert figures["messages"] == pytest.approx(sum(map(len, paths)) / 3, abs=0.1)
    assert len(figures["megabytes"]) == 2


def test_trouble_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting.editing, "act", lambda value: '{"trouble": "Gone."}')
    with pytest.raises(EditError, match="Gone"):
        painting._said(type("Session", (), {"key": "x"})(), {"act": "look"})
