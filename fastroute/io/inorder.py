"""What can only be read forwards, for threads that ask for its parts in any order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class InOrder(Generic[T]):
    """Hands out the parts of a stream; who asks too early waits. A part that is asked for once more is read from the beginning."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._next = 0
        self._has_failed = False
        self._parts: Iterator[T] | None = None

    def part(self, number: int, start: Callable[[], Iterator[T]]) -> T | None:
        """The part of a number; None where the stream ended or failed before it.

        Parameters
        ----------
        start : begins the stream anew
        """
        with self._turn:
            self._turn.wait_for(lambda: self._next >= number or self._has_failed)
            if self._next > number:
                again = start()
                for _ in range(number):
                    next(again, None)
                return next(again, None)
            if self._has_failed:
                return None
            try:
                if self._parts is None:
                    self._parts = start()
                part = next(self._parts, None)
                self._next = number + 1
                return part
            except BaseException:
                self._has_failed = True
                raise
            finally:
                self._turn.notify_all()

    def close(self) -> None:
        """Let go of the stream; the next reader begins anew."""
        with self._turn:
            self._next, self._parts, self._has_failed = 0, None, False
