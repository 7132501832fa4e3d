"""What the dock knows: the image and the report. No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.widgets.layers.picture import NO_PICTURE, Picture

if TYPE_CHECKING:
    from napari_cam.reports.cases import MapName
    from napari_cam.widgets.docks.reports.work.presenting import FinishedReport


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
    layers
        The layers of its maps, by name; weak.
    """

    picture_changed = Signal()
    finished_changed = Signal()

    def __init__(self) -> None:
        self.picture: Picture | None = None
        self.no_picture = NO_PICTURE
        self.finished: FinishedReport | None = None
        self.judged: Picture | None = None
        self.layers: Mapping[MapName, weakref.ReferenceType[Any]] = {}

    @property
    def missing(self) -> str:
        """Why nothing can be done, "" where all is there."""
        return self.no_picture if self.picture is None else ""

    def set_picture(self, picture: Picture | None, problem: str = "") -> None:
        """Take an image, or none and the sentence that says why."""
        self.picture, self.no_picture = picture, problem
        self.picture_changed.emit()

    def set_finished(
        self,
        finished: FinishedReport,
        judged: Picture,
        layers: Mapping[MapName, weakref.ReferenceType[Any]],
    ) -> None:
        """Take another report, the image that it is of and the layers of its maps."""
        self.finished, self.judged, self.layers = finished, judged, layers
        self.finished_changed.emit()
