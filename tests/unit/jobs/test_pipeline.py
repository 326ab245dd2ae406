"""Files over threads: each file's chunks are written in order, few are held, the first failure stops all."""

import random
import threading
import time
from collections.abc import Iterator

import pytest

from fastroute.jobs.pipeline import Reporter, run_all


class Recorder:
    """A file whose chunks take some time, on a log that all files share."""

    def __init__(self, name: str, num_chunks: int, log: list[tuple[str, str, int]], fail_at: int | None = None) -> None:
        self.name = name
        self.num_chunks = num_chunks
        self.log = log
        self.fail_at = fail_at
        self.is_writing = False

    def compute(self, number: int) -> int:
        self.log.append(("begin", self.name, number))
        time.sleep(random.Random(f"{self.name}{number}").random() / 200)
        if number == self.fail_at:
            raise ValueError(f"{self.name} chunk {number}")
        return number

    def write(self, result: int) -> None:
        assert not self.is_writing
        self.is_writing = True
        time.sleep(0.001)
        self.is_writing = False
        self.log.append(("write", self.name, result))

    def finish(self) -> None:
        self.log.append(("finish", self.name, -1))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_chunks_of_a_file_are_written_in_order_and_few_are_held(threads: int) -> None:
    log: list[tuple[str, str, int]] = []
    sizes = {"a": 7, "b": 0, "c": 1, "d": 20, "e": 3}
    run_all([Recorder(name, size, log) for name, size in sizes.items()], threads)
    for name, size in sizes.items():
        assert [number for what, where, number in log if where == name and what != "begin"] == [*range(size), -1]
    assert [where for what, where, number in log if what == "begin" and number == 0] == ["a", "c", "d", "e"]
    held = most = 0
    for what, _, _ in log:
        held += {"begin": 1, "write": -1, "finish": 0}[what]
        most = max(most, held)
    assert most <= threads + 1


def test_no_files() -> None:
    run_all([], 2)


def test_threads_work_at_the_same_time_on_one_file() -> None:
    meeting = threading.Barrier(2, timeout=10)

    class Meets(Recorder):
        def compute(self, number: int) -> int:
            meeting.wait()
            return number

    run_all([Meets("a", 2, [])], 2)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_failure_stops_all_and_is_raised(threads: int) -> None:
    log: list[tuple[str, str, int]] = []
    works = [Recorder("a", 3, log), Recorder("b", 50, log, fail_at=2), Recorder("c", 50, log)]
    with pytest.raises(ValueError, match="b chunk 2"):
        run_all(works, threads)
    assert sum(what == "begin" for what, _, _ in log) < 20
    assert threading.active_count() == 1 or not any(thread.name.startswith("fastroute-") for thread in threading.enumerate())


def test_failure_of_a_write_stops_too() -> None:
    class Full(Recorder):
        def write(self, result: int) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run_all([Full("a", 30, []), Recorder("b", 30, [])], 2)


def test_reporter_counts_over_threads_and_is_called_one_at_a_time() -> None:
    calls: list[tuple[str, int, int]] = []
    reporter = Reporter(lambda *call: calls.append(call), "route", 400)
    threads = [threading.Thread(target=lambda: [reporter.add(1) for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [("route", done, 400) for done in range(401)]
    Reporter(None, "route", 0).add(1)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_work_that_fails_is_dropped_once_nothing_is_at_it(threads: int) -> None:
    """Then no chunk of it is computed any more, and the room that it held is free for the others."""
    log: list[tuple[str, str, int]] = []
    works = [Recorder("a", 9, log), Recorder("b", 50, log, fail_at=3), Recorder("c", 9, log)]
    dropped: list[tuple[str, str]] = []

    def go_on(work: Recorder, error: Exception) -> bool:
        begun = len([1 for what, where, _ in log if (what, where) == ("begin", work.name)])
        dropped.append((work.name, str(error)))
        time.sleep(0.02)
        assert len([1 for what, where, _ in log if (what, where) == ("begin", work.name)]) == begun
        return True

    run_all(works, threads, go_on)
    assert dropped == [("b", "b chunk 3")]
    for name in ("a", "c"):
        assert [number for what, where, number in log if where == name and what != "begin"] == [*range(9), -1]
    assert ("finish", "b", -1) not in log
    assert sum((what, where) == ("begin", "b") for what, where, _ in log) <= 3 + threads + 2


def test_a_failure_that_is_not_forgiven_stops_all() -> None:
    works = [Recorder("a", 3, [], fail_at=1), Recorder("b", 3, [])]
    with pytest.raises(ValueError, match="a chunk 1"):
        run_all(works, 2, lambda _work, _error: False)


@pytest.mark.parametrize("threads", [1, 2])
def test_works_are_taken_when_their_turn_comes(threads: int) -> None:
    log: list[tuple[str, str, int]] = []
    ahead: list[int] = []

    def works() -> Iterator[Recorder]:
        for taken in range(40):
            ahead.append(taken - sum(what == "finish" for what, _, _ in log))
            yield Recorder(f"{taken}", 2, log)

    run_all(works(), threads)
    assert sum(what == "finish" for what, _, _ in log) == 40
    assert max(ahead) <= threads + 1
