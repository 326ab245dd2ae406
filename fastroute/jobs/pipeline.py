"""Many files over a few threads: chunks are computed in any order, each file's are written in theirs, and few are held at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""


class Work(Protocol):
    """One file to go through."""

    num_chunks: int

    def compute(self, number: int) -> Any:
        """Compute a chunk; from any thread, several at once."""
        ...

    def write(self, result: Any) -> None:
        """Write a chunk; in order, one at a time."""
        ...

    def finish(self) -> None:
        """After the last chunk."""
        ...


GoOn = Callable[[Any, Exception], bool]
"""Called with a work that failed, once nothing is at it any more; whether the run goes on without it."""


class _File:
    """How far a file is."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.results: dict[int, Any] = {}
        self.num_started = 0
        self.num_computing = 0
        self.written = 0
        self.is_busy = False
        self.failure: Exception | None = None

    @property
    def has_chunks_to_compute(self) -> bool:
        return self.failure is None and self.num_started < self.work.num_chunks

    @property
    def can_write(self) -> bool:
        if self.is_busy:
            return False
        if self.failure is not None:
            return self.num_computing == 0
        return self.written in self.results or self.written == self.work.num_chunks


class Pipeline:
    """Runs files over threads.

    A free thread writes if any file has its next chunk ready, else computes the next chunk in order, else takes the next file, unless as
    many chunks as threads + 1 are held already: memory is bounded by chunks, not by files. A file is taken from `works` only when
    every chunk of the one before is begun, by one thread at a time, and is let go of when it is finished.
    """

    def __init__(self, works: Iterable[Work], threads: int, go_on: GoOn | None = None) -> None:
        self._works = iter(works)
        self._threads = threads
        self._go_on = go_on
        self._turn = threading.Condition()
        self._open: deque[_File] = deque()
        self._is_taking = False
        self._is_all_taken = False
        self._held = 0
        self._failures: list[BaseException] = []

    def run(self) -> None:
        """Go through all files.

        Raises
        ------
        BaseException
            The first failure; the other threads stop after the chunk that they are at.
        """
        if self._threads == 1:
            self._work()
        else:
            self._run_threads()
        if self._failures:
            raise self._failures[0]

    def _run_threads(self) -> None:
        workers = [threading.Thread(target=self._work, name=f"fastroute-{i}") for i in range(self._threads)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except BaseException as interrupt:
            with self._turn:
                self._failures.append(interrupt)
                self._turn.notify_all()
            for worker in workers:
                worker.join()

    def _work(self) -> None:
        try:
            while (task := self._next_task()) is not None:
                task()
        except BaseException as failure:
            with self._turn:
                self._failures.append(failure)
                self._turn.notify_all()

    def _next_task(self) -> Callable[[], None] | None:
        with self._turn:
            while not self._failures:
                for file in self._open:
                    if file.can_write:
                        file.is_busy = True
                        return partial(self._write if file.failure is None else self._drop, file)
                if self._held <= self._threads:
                    ready = next((file for file in self._open if file.has_chunks_to_compute), None)
                    if ready is not None:
                        number = ready.num_started
                        ready.num_started += 1
                        ready.num_computing += 1
                        self._held += 1
                        return partial(self._compute, ready, number)
                    if not self._is_taking and not self._is_all_taken:
                        self._is_taking = True
                        return self._take
                if self._is_all_taken and not self._open:
                    return None
                self._turn.wait()
            return None

    def _take(self) -> None:
        work = next(self._works, None)
        with self._turn:
            self._is_taking = False
            if work is None:
                self._is_all_taken = True
            else:
                self._open.append(_File(work))
            self._turn.notify_all()

    def _compute(self, file: _File, number: int) -> None:
        result, failure = None, None
        try:
            result = file.work.compute(number)
        except Exception as error:
            failure = self._noted(error)
        with self._turn:
            file.num_computing -= 1
            file.results[number] = result
            file.failure = file.failure or failure
            self._turn.notify_all()

    def _write(self, file: _File) -> None:
        is_end = file.written == file.work.num_chunks
        failure = None
        try:
            if is_end:
                file.work.finish()
            else:
                file.work.write(file.results[file.written])
        except Exception as error:
            failure = self._noted(error)
        with self._turn:
            file.is_busy = False
            file.failure = file.failure or failure
            if file.failure is None and is_end:
                self._open.remove(file)
            elif file.failure is None:
                del file.results[file.written]
                file.written += 1
                self._held -= 1
            self._turn.notify_all()

    def _noted(self, error: Exception) -> Exception:
        if self._go_on is None:
            raise error
        return error

    def _drop(self, file: _File) -> None:
        """Go on without a file, unless its failure ends the run."""
        assert self._go_on is not None
        assert file.failure is not None
        if not self._go_on(file.work, file.failure):
            raise file.failure
        with self._turn:
            self._open.remove(file)
            self._held -= len(file.results)
            self._turn.notify_all()


def run_all(works: Iterable[Work], threads: int, go_on: GoOn | None = None) -> None:
    """Go through files over threads; see `Pipeline`."""
    Pipeline(works, threads, go_on).run()


class Reporter:
    """Counts the records that are done, from any thread, and tells of each step.

    Parameters
    ----------
    progress : called with (`stage`, records done, `total`), one call at a time
    """

    def __init__(self, progress: Progress | None, stage: str, total: int) -> None:
        self._progress = progress
        self._stage = stage
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self.add(0)

    def add(self, records: int) -> None:
        """Some more are done."""
        with self._lock:
            self._done += records
            if self._progress is not None:
                self._progress(self._stage, self._done, self._total)
