"""What follows the controls: the slice on screen at once, the whole volume when they rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from qtpy.QtCore import QObject, QTimer

from napari_cam.widgets.threads.worker import Failure, Job

_REST_MS = 60
Asked = TypeVar("Asked")
Got = TypeVar("Got")


class Follower(Generic[Asked, Got]):
    """Works out the latest request in a job, one at a time; what is superseded never arrives.

    Parameters
    ----------
    parent
        What its timer ends with.
    work
        Called in another thread; yields results of a request.
    show
        Gets each result with its request, in the window's thread.
    fail
        Gets the sentence of an error.
    """

    def __init__(
        self,
        parent: QObject,
        work: Callable[[Asked], Iterator[Got]],
        show: Callable[[Asked, Got], None],
        fail: Callable[[str], None],
    ) -> None:
        self._work, self._show, self._fail = work, show, fail
        self._wanted: Asked | None = None
        self._job: Job | None = None
        self._timer = QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self._begin)

    @property
    def busy(self) -> bool:
        """Whether something is being worked out, or soon will be."""
        return self._job is not None or self._wanted is not None

    def want(self, request: Asked, now: bool = False) -> None:
        """Work out `request` as soon as the controls rest, or `now`."""
        self._wanted = request
        if now:
            self._timer.stop()
            self._begin()
        else:
            self._timer.start()

    def drop(self) -> None:
        """Let nothing arrive any more."""
        self._timer.stop()
        self._wanted = None
        if self._job is not None:
            self._job.drop()
            self._job = None

    def _begin(self) -> None:
        request = self._wanted
        if self._job is not None or request is None:
            return  # the running job looks again when it ends
        self._wanted = None
        self._job = Job(
            lambda: self._work(request), lambda got: self._arrived(request, got), self._ended
        ).start()

    def _arrived(self, request: Asked, got: Got) -> None:
        if self._wanted is None:
            self._show(request, got)

    def _ended(self, failure: Failure | None) -> None:
        self._job = None
        if failure is not None and self._wanted is None:
            self._fail(failure.sentence)
        if not self._timer.isActive():
            self._begin()
