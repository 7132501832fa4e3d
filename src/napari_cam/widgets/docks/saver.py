"""What docks do with files: they are written in the background, and the dock says how it went."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

from psygnal import Signal

from napari_cam.widgets.threads.worker import Failure, Job, Steps


class Saver:
    """Writes files in another thread.

    Parameters
    ----------
    say
        Shows a sentence in the dock, "" for none.
    """

    failed = Signal(str)
    changed = Signal()  # whether something is being written

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._jobs: list[Job] = []

    @property
    def running(self) -> bool:
        """Whether something is being written."""
        return bool(self._jobs)

    def drop(self) -> None:
        """Let nothing arrive any more; what is being written is written to its end."""
        for job in self._jobs:
            job.drop()
        self._jobs.clear()

    def _write(self, steps: Steps, meanwhile: str = "Writing …") -> None:
        """Run `steps`, which yield the path of what they wrote."""
        self._say(meanwhile)

        def ended(failure: Failure | None) -> None:
            self._jobs.remove(job)
            if failure is not None:
                self._say("")
                self.failed.emit(failure.sentence)
            self.changed.emit()

        job = Job(steps, lambda path: self._say(self._written(path)), ended)
        self._jobs.append(job)
        job.start()
        self.changed.emit()

    @abstractmethod
    def _written(self, path: Path) -> str:
        """Return what to say of a file that has been written."""
