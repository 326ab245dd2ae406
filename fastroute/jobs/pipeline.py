"""Many files over a few threads: chunks are computed in any order, each file's are written in theirs, and few are held at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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


class _File:
    """How far a file is."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.results: dict[int, Any] = {}
        self.written = 0
        self.is_busy = False

    @property
    def can_write(self) -> bool:
        return not self.is_busy and (self.written in self.results or self.written == self.work.num_chunks)


class Pipeline:
    """Runs files over threads.

    A free thread writes if any file has its next chunk ready, else computes the next chunk in order, unless as many as threads + 1 are
    held already: memory is bounded by chunks, not by files. The order of the files is that in which they are started.
    """

    def __init__(self, works: Iterable[Work], threads: int) -> None:
        self._works = iter(works)
        self._threads = threads
        self._turn = threading.Condition()
        self._open: deque[_File] = deque()
        self._to_compute: Iterator[tuple[_File, int]] = self._chunks()
        self._is_all_started = False
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

    def _chunks(self) -> Iterator[tuple[_File, int]]:
        for work in self._works:
            file = _File(work)
            self._open.append(file)
            yield from ((file, number) for number in range(work.num_chunks))

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
                        return lambda file=file: self._write(file)  # type: ignore[misc]
                if not self._is_all_started and self._held <= self._threads:
                    chunk = next(self._to_compute, None)
                    if chunk is None:
                        self._is_all_started = True
                    else:
                        self._held += 1
                        return lambda chunk=chunk: self._compute(*chunk)  # type: ignore[misc]
                    continue
                if self._is_all_started and not self._open:
                    return None
                self._turn.wait()
            return None

    def _compute(self, file: _File, number: int) -> None:
        result = file.work.compute(number)
        with self._turn:
            file.results[number] = result
            self._turn.notify_all()

    def _write(self, file: _File) -> None:
        is_end = file.written == file.work.num_chunks
        if is_end:
            file.work.finish()
        else:
            file.work.write(file.results[file.written])
        with self._turn:
            file.is_busy = False
            if is_end:
                self._open.remove(file)
            else:
                del file.results[file.written]
                file.written += 1
                self._held -= 1
            self._turn.notify_all()


def run_all(works: Sequence[Work], threads: int) -> None:
    """Go through files over threads; see `Pipeline`."""
    Pipeline(works, threads).run()


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
