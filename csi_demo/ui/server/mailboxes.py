"""The queue's messages to visitors: bounded, since not everyone who joins the queue comes to fetch them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from gradio.queueing import Queue
from gradio.server_messages import EventMessage

MAX_BYTES = 64 * 2**20  # of all messages that wait to be fetched
SECONDS_UNHEARD = 15.0  # after which messages may go for want of room: who listens asks at least every 10
SECONDS_KEPT = 300.0  # after which they go in any case


class Mailbox(asyncio.Queue[EventMessage]):
    """A session's messages. bytes: about their size; asked: when they were last asked for."""

    def __init__(self, boxes: Mailboxes):
        super().__init__()
        self.boxes, self.bytes, self.asked = boxes, 0, time.monotonic()

    async def get(self) -> EventMessage:
        self.asked = time.monotonic()
        return await super().get()

    def _put(self, message: EventMessage) -> None:
        super()._put(message)
        self.bytes += _size(message)
        self.boxes.bound()

    def _get(self) -> EventMessage:
        message = super()._get()
        self.bytes -= _size(message)
        return message


class Mailboxes(dict[str, Any]):
    """A session's hash -> its mailbox, in the place of Gradio's own; what is sent to a session that is gone is lost."""

    def __init__(self, queue: Queue):
        super().__init__()
        self.queue = queue

    def __setitem__(self, session: str, messages: object) -> None:
        super().__setitem__(session, Mailbox(self))

    def __missing__(self, session: str) -> Mailbox:
        return Mailbox(self)

    def bound(self) -> None:
        """Drops what nobody came for, the longest unasked first."""
        now = time.monotonic()
        boxes = sorted(self.copy().items(), key=lambda entry: entry[1].asked)
        total = sum(box.bytes for _, box in boxes)
        for session, box in boxes:
            unheard = now - box.asked
            if unheard > SECONDS_KEPT or (total > MAX_BYTES and unheard > SECONDS_UNHEARD):
                total -= box.bytes
                self.pop(session, None)
                self.queue.pending_event_ids_session.pop(session, None)


def _size(message: EventMessage) -> int:
    return len(str(getattr(message, "output", "")))
