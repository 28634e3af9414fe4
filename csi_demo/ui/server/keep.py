"""What visitors work on, in memory and nowhere else: dropped some minutes after its last use."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

KEPT_MINUTES = 20  # what visitors sent, after its last use


class Keep:
    """Values by keys that nobody can guess. The longest unused go first when they cost more than `limit` bytes."""

    def __init__(self, seconds: float, limit: int):
        self.seconds, self.limit = seconds, limit
        self._kept: OrderedDict[str, tuple[float, int, Any]] = OrderedDict()  # key -> last use, cost, value
        self._lock = threading.Lock()

    def put(self, value: Any, cost: int, key: str | None = None) -> str:
        """Keeps the value, in the place of what has this key if one is given, and returns its key."""
        key = key or secrets.token_urlsafe(16)
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = (time.monotonic(), cost, value)
            self._sweep()
        return key

    def get(self, key: object) -> Any:
        """The value, now used; None when there is none, or no more."""
        with self._lock:
            self._sweep()
            if not isinstance(key, str) or key not in self._kept:
                return None
            _, cost, value = self._kept.pop(key)
            self._kept[key] = (time.monotonic(), cost, value)
            return value

    def drop(self, key: str | None) -> None:
        """Lets go of the value of this key, if there is one."""
        with self._lock:
            self._kept.pop(key or "", None)

    def sweep(self) -> None:
        """Drops what is too old or too much."""
        with self._lock:
            self._sweep()

    def _sweep(self) -> None:
        oldest = time.monotonic() - self.seconds
        total = sum(cost for _, cost, _ in self._kept.values())
        for key, (used, cost, _) in list(self._kept.items()):
            if used >= oldest and (total <= self.limit or len(self._kept) == 1):
                break
            del self._kept[key]
            total -= cost


def regularly(*works: Callable[[], None], interval: float = 30.0) -> None:
    """Does this in the background from now on, so that nothing outlives its time when nobody calls."""

    def work() -> None:
        while True:
            for one in works:
                one()
            time.sleep(interval)

    threading.Thread(target=work, name="sweep", daemon=True).start()
