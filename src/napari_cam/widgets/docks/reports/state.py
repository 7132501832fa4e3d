"""What the dock knows: the image and the report. No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.widgets.layers.picture import Picture, PictureState

if TYPE_CHECKING:
    from napari_cam.reports.cases.map_names import MapName
    from napari_cam.widgets.docks.reports.work.presenting import FinishedReport


class ReportsState(PictureState):
    """What the dock knows, with a signal for each part of it.

    Attributes
    ----------
    finished
        The latest report; None before the first.
    judged
        The image that the latest report is of.
    layers
        The layers of its maps, by name; weak.
    """

    finished_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.finished: FinishedReport | None = None
        self.judged: Picture | None = None
        self.layers: Mapping[MapName, weakref.ReferenceType[Any]] = {}

    def set_finished(
        self,
        finished: FinishedReport,
        judged: Picture,
        layers: Mapping[MapName, weakref.ReferenceType[Any]],
    ) -> None:
        """Take another report, the image that it is of and the layers of its maps."""
        self.finished, self.judged, self.layers = finished, judged, layers
        self.finished_changed.emit()
