"""Work in another thread, whose errors always arrive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import create_worker

from napari_cam.errors import NapariCamError

_LOG = logging.getLogger("napari_cam")

Steps = Callable[[], Iterator[Any]]

# PySide6 does not keep what a signal is connected to: news of a job that nobody holds any more
# would arrive in freed memory. On both bindings a job and its Qt objects must end in the thread of
# the window, and not where another thread happens to collect garbage.
_UNDER_WAY: set[Job] = set()


@dataclass(frozen=True, eq=False)
class Failure:
    """An error that ended a job."""

    error: Exception

    @property
    def sentence(self) -> str:
        """What to tell the user: the error's own sentence where it is one of ours."""
        if isinstance(self.error, NapariCamError):
            return str(self.error)
        if isinstance(self.error, MemoryError):
            return "Memory ran out; close other images or choose a smaller one, then try again."
        reason = (str(self.error) or "no reason given").splitlines()[0].rstrip(".")
        return (
            f"The computation stopped with an unexpected {type(self.error).__name__}: {reason}. "
            "Nothing that was finished is lost; try again, or report it with the log."
        )


def _guarded(steps: Steps) -> Generator[Any, None, None]:
    """Yield what `steps` yield and then its error, if any.

    napari's workers drop a RuntimeError of a generator without a word (and torch raises little
    else), and on PySide6 stumble over all others, so none may leave here.
    """
    try:
        yield from steps()
    except Exception as error:  # noqa: BLE001
        if not isinstance(error, NapariCamError):
            _LOG.error("A job of the CAM dock failed.", exc_info=error)
        yield Failure(error)


class Job:
    """A generator that runs in another thread; its news arrive in the thread of the window.

    Parameters
    ----------
    steps
        Called in the other thread. It touches neither Qt nor layers.
    on_news
        Gets every yielded object.
    on_end
        Gets the failure, None where all went well; called once, last.
    """

    def __init__(
        self,
        steps: Steps,
        on_news: Callable[[Any], None],
        on_end: Callable[[Failure | None], None],
    ) -> None:
        self._on_news: Callable[[Any], None] | None = on_news
        self._on_end: Callable[[Failure | None], None] | None = on_end
        self._failure: Failure | None = None
        self._worker = create_worker(_guarded, steps, _start_thread=False, _ignore_errors=True)
        self._worker.yielded.connect(self._arrived)
        self._worker.finished.connect(self._ended)

    def start(self) -> Job:
        """Begin; the job lives until its last news has arrived, also where nobody holds it."""
        _UNDER_WAY.add(self)
        self._worker.start()
        return self

    def drop(self) -> None:
        """Forget the job: it ends at its next step, and nothing of it arrives any more."""
        self._on_news = self._on_end = None
        self._worker.quit()

    def _arrived(self, news: Any) -> None:
        if isinstance(news, Failure):
            self._failure = news
        elif self._on_news is not None:
            self._on_news(news)

    def _ended(self) -> None:
        on_end, self._on_end, self._on_news = self._on_end, None, None
        _UNDER_WAY.discard(self)
        if on_end is not None:
            on_end(self._failure)


class Runner:
    """Runs one job at a time: the latest, and of an earlier one nothing arrives any more."""

    def __init__(self) -> None:
        self._job: Job | None = None

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None

    def start(
        self,
        steps: Steps,
        on_news: Callable[[Any], None],
        on_end: Callable[[Failure | None], None],
    ) -> None:
        """Begin a job; the parameters are those of `Job`."""

        def ended(failure: Failure | None) -> None:
            self._job = None
            on_end(failure)

        self.drop()
        self._job = Job(steps, on_news, ended).start()

    def drop(self) -> None:
        """Let nothing arrive any more."""
        if self._job is not None:
            self._job.drop()
            self._job = None
