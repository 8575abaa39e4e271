"""A place for the newest of something, between two threads. What nobody took in time is dropped."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Latest(Generic[Item]):
    """Holds one item; putting another drops the one that was not taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False
        self.num_dropped = 0

    def put(self, item: Item) -> None:
        """Never waits. After close the item is ignored."""
        with self._changed:
            if self._closed:
                return
            if self._item is not None:
                self.num_dropped += 1
            self._item = item
            self._changed.notify()

    def take(self, timeout_s: float | None = None) -> Item | None:
        """The newest item as soon as there is one; None after the timeout, or closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """No more items will come; the last one can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Closed, and everything was taken."""
        with self._changed:
            return self._closed and self._item is None
