"""What follows the controls: worked out when they rest, one thing at a time, the latest wish."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from qtpy.QtCore import QObject, QTimer

from napari_cam.errors import NapariCamError
from napari_cam.widgets.threads.worker import Failure, Runner

_REST_MS = 60
Wish = TypeVar("Wish")
Got = TypeVar("Got")


class Follower(Generic[Wish, Got]):
    """Works out the latest wish in a job, one at a time; what is superseded never arrives.

    Parameters
    ----------
    parent
        What its timer ends with.
    work
        Called in the window's thread when the controls rest; returns the results of a wish as an
        iterator that another thread walks through, None where there is nothing to be done.
    show
        Gets each result with its wish, in the window's thread.
    fail
        Gets the sentence of an error.
    rest_ms
        For how long the controls rest first.
    """

    def __init__(
        self,
        parent: QObject,
        work: Callable[[Wish], Iterator[Got] | None],
        show: Callable[[Wish, Got], None],
        fail: Callable[[str], None],
        rest_ms: int = _REST_MS,
    ) -> None:
        self._work, self._show, self._fail = work, show, fail
        self._wanted: dict[Hashable, Wish] = {}
        self._runner = Runner()
        self._timer = QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setInterval(rest_ms)
        self._timer.timeout.connect(self._begin)

    @property
    def running(self) -> bool:
        """Whether something is being worked out."""
        return self._runner.running

    @property
    def busy(self) -> bool:
        """Whether something is being worked out, or soon will be."""
        return self.running or bool(self._wanted)

    def want(self, wish: Wish, now: bool = False, about: Hashable = None) -> None:
        """Work out `wish` as soon as the controls rest, or `now`.

        It supersedes what was wanted before `about` the same thing, and waits for its turn behind
        what is wanted about others.
        """
        self._wanted.pop(about, None)
        self._wanted[about] = wish
        if now:
            self._timer.stop()
            self._begin()
        else:
            self._timer.start()

    def drop(self) -> None:
        """Let nothing arrive any more."""
        self._timer.stop()
        self._wanted.clear()
        self._runner.drop()

    def _begin(self) -> None:
        # Where a job is running, this is called again when it ends.
        while self._wanted and not self.running:
            about = next(iter(self._wanted))
            wish = self._wanted.pop(about)
            try:
                results = self._work(wish)
            except NapariCamError as error:
                self._fail(str(error))
                continue
            if results is not None:
                self._start(about, wish, results)

    def _start(self, about: Hashable, wish: Wish, results: Iterator[Got]) -> None:
        def arrived(got: Got) -> None:
            if about not in self._wanted:
                self._show(wish, got)

        def ended(failure: Failure | None) -> None:
            if failure is not None and about not in self._wanted:
                self._fail(failure.sentence)
            if not self._timer.isActive():
                self._begin()

        self._runner.start(lambda: results, arrived, ended)
