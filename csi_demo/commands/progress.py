"""How far something long has come, on standard error: rewritten in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time

CLEAR = "\r\033[K"  # what a terminal shows in this line
SECONDS_BETWEEN = 0.3, 30.0  # two lines: on a terminal, in a log


class Progress:
    """Counts what is done of so many."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.began = self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """How many are done a second."""
        return self.done / max(self.seconds, 1e-9)

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        terminal, now, left = sys.stderr.isatty(), time.monotonic(), self.total - self.done
        if left and now - self._said >= SECONDS_BETWEEN[not terminal]:
            self._said, (minutes, seconds) = now, divmod(round(left / self.rate), 60)
            text = f"{self.done} of {self.total}, {self.rate:.2f} a second, {minutes}:{seconds:02} left"
            self._print(f"{CLEAR}{text}" if terminal else f"csi_demo: {text}\n")

    def say(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        self._print(f"csi_demo: {text}\n")

    def clear(self) -> None:
        """Takes the count off a terminal."""
        if sys.stderr.isatty():
            self._print(CLEAR)

    def _print(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)
