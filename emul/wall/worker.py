"""A thread that does the arithmetic of collectives under way, while their callers go on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from weakref import WeakSet

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["Pending", "Worker"]

T = TypeVar("T")

NAP_S = 0.02
"""So often a wait looks up: an exception that was set for its thread is raised then."""


class Pending(Generic[T]):
    """A result that is there, or will be."""

    def __init__(self, future: Future[T] | None, found: T | None = None) -> None:
        """Take the future of the result, or the result itself."""
        self._future = future
        self._found = found

    @property
    def is_there(self) -> bool:
        """Whether ``result`` returns, or raises, without waiting."""
        return self._future is None or self._future.done()

    def result(self) -> T:
        """Wait for it. Raises the error of its task; an interrupt ends the wait only."""
        if self._future is None:
            return cast("T", self._found)
        from concurrent.futures import wait

        while not wait([self._future], NAP_S).done:
            pass
        return self._future.result()


class Worker:
    """Does one task after the other, in the order in which they were given.

    Safe to use from several threads. Before the process is forked, all given tasks are done, so
    that a child finds all results; it has a thread of its own as soon as it needs one.
    """

    def __init__(self) -> None:
        """Start no thread yet."""
        self.last: Future[Any] | None = None
        self.threads: ThreadPoolExecutor | None = None
        _WORKERS.add(self)

    def begin(self, task: Callable[[], T]) -> Pending[T]:
        """Give it a task, and return at once."""
        from concurrent.futures import ThreadPoolExecutor

        with _LOCK:
            if self.threads is None:
                self.threads = ThreadPoolExecutor(1, thread_name_prefix="emul")
            future = self.threads.submit(task)
            self.last = future
        return Pending(future)


_WORKERS: WeakSet[Worker] = WeakSet()

_LOCK = threading.RLock()
"""Held while a process is forked, so that nothing is begun meanwhile."""


def _before_fork() -> None:
    from concurrent.futures import wait

    _LOCK.acquire()
    wait([worker.last for worker in _WORKERS if worker.last is not None])


def _in_child() -> None:
    for worker in _WORKERS:
        worker.threads = None  # it stayed with the parent
    _LOCK.release()


os.register_at_fork(before=_before_fork, after_in_parent=_LOCK.release, after_in_child=_in_child)
