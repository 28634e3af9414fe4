"""Messages of the queue that nobody fetches."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from gradio.server_messages import HeartbeatMessage, ProcessCompletedMessage

from csi_demo.ui.blocks import build
from csi_demo.ui.server import mailboxes
from csi_demo.ui.server.mailboxes import Mailboxes


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> Mailboxes:
    """Room for 1000 bytes, and patience of a fifth of a second."""
    monkeypatch.setattr(mailboxes, "MAX_BYTES", 1000)
    monkeypatch.setattr(mailboxes, "SECONDS_UNHEARD", 0.2)
    return build()._queue.pending_messages_per_session  # type: ignore[return-value]


def message(size: int) -> ProcessCompletedMessage:
    return ProcessCompletedMessage(output={"data": ["x" * size]}, success=True)


def joined(boxes: Mailboxes, session: str, size: int) -> Any:
    """A session's mailbox as Gradio makes and fills it."""
    boxes[session] = asyncio.Queue()
    boxes.queue.pending_event_ids_session[session] = {"event"}
    boxes[session].put_nowait(message(size))
    return boxes[session]


def test_messages_come_as_they_were_sent(boxes: Mailboxes) -> None:
    async def talk() -> None:
        box = joined(boxes, "one", 10)
        box.put_nowait(HeartbeatMessage())
        assert box.bytes > 10
        assert (await box.get()).output == {"data": ["x" * 10]}
        assert isinstance(await box.get(), HeartbeatMessage)
        assert (box.bytes, box.qsize()) == (0, 0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(box.get(), 0.01)

    asyncio.run(talk())


def test_what_nobody_fetches_goes_for_want_of_room_and_what_is_fetched_stays(boxes: Mailboxes) -> None:
    async def talk() -> None:
        joined(boxes, "deaf", 600)
        heard = joined(boxes, "heard", 600)
        assert set(boxes) == {"deaf", "heard"}  # both have just joined
        await asyncio.sleep(0.25)
        await heard.get()
        joined(boxes, "new", 600)
        assert set(boxes) == {"heard", "new"}
        assert set(boxes.queue.pending_event_ids_session) == {"heard", "new"}
        boxes["deaf"].put_nowait(message(600))  # an event of a session that is gone may still be at work
        assert "deaf" not in boxes

    asyncio.run(talk())


def test_what_nobody_comes_for_goes_in_the_end(boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    joined(boxes, "one", 1)
    time.sleep(0.25)
    boxes.bound()
    assert set(boxes) == {"one"}
    monkeypatch.setattr(mailboxes, "SECONDS_KEPT", 0.2)
    boxes.bound()
    assert not boxes
