"""What the dock knows: the image and the report. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

if TYPE_CHECKING:
    from napari_cam.widgets.picture import Picture
    from napari_cam.widgets.reports_dock.request import Finished

NO_PICTURE = (
    "There is no image: open one with File > Open, or try "
    "File > Open Sample > Class activation maps."
)


class ReportsState:
    """What the dock knows, with a signal for each part of it.

    Attributes
    ----------
    picture
        The image; None where there is none, and then `no_picture` says why.
    finished
        The latest report; None before the first.
    judged
        The image that the latest report is of.
    """

    picture_changed = Signal()
    finished_changed = Signal()

    def __init__(self) -> None:
        self.picture: Picture | None = None
        self.no_picture = NO_PICTURE
        self.finished: Finished | None = None
        self.judged: Picture | None = None

    @property
    def missing(self) -> str:
        """Why nothing can be done, "" where all is there."""
        return self.no_picture if self.picture is None else ""

    def set_picture(self, picture: Picture | None, problem: str = "") -> None:
        """Take an image, or none and the sentence that says why."""
        self.picture, self.no_picture = picture, problem
        self.picture_changed.emit()

    def set_finished(self, finished: Finished, judged: Picture) -> None:
        """Take another report and the image that it is of."""
        self.finished, self.judged = finished, judged
        self.finished_changed.emit()
