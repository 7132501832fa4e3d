"""The dock "CAM reports": choices at the left, the report at the right; wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QSplitter,
    QVBoxLayout,
)

from napari_cam.widgets.controls.picture_list import PictureList
from napari_cam.widgets.docks.live_dock import LiveDock
from napari_cam.widgets.docks.reports.control.gatherer import is_cam, judgeable, labels_layers
from napari_cam.widgets.docks.reports.control.overlayer import Overlayer
from napari_cam.widgets.docks.reports.control.reporter import Reporter
from napari_cam.widgets.docks.reports.control.saver import ReportSaver
from napari_cam.widgets.docks.reports.state import ReportsState
from napari_cam.widgets.docks.reports.views.canvas import Ink
from napari_cam.widgets.docks.reports.views.choose_pane import ChoosePane
from napari_cam.widgets.docks.reports.views.result_pane import ResultPane
from napari_cam.widgets.docks.reports.work.comparing import Comparison, comparison_of_row

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from qtpy.QtGui import QResizeEvent, QShowEvent

_CHOICES, _HEIGHT = 350, 420  # pixels
_NARROW = 760  # below that the report stands under the choices


class ReportsDock(LiveDock):
    """Whether to believe a map: reports on layers, made in the background.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers are judged.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self._placed = False
        self.state = ReportsState()
        self.choose = ChoosePane()
        self.result = ResultPane()
        self.reporter = Reporter(napari_viewer, self.state, self.choose, self)
        self.overlayer = Overlayer(napari_viewer, self.state, self)
        self.saver = ReportSaver(self.state, self.result)
        self._pictures = PictureList(napari_viewer, self.choose.image, self.state)
        self._lay_out()
        self._wire()
        self._begin()

    def _lay_out(self) -> None:
        self.choose.setMinimumWidth(300)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.choose)
        self.splitter.addWidget(self.result)
        self.splitter.setStretchFactor(0, 0)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([_CHOICES, 900])
        self.splitter.setChildrenCollapsible(False)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.splitter, 1)
        outer.addWidget(self.problem)
        self.setMinimumSize(320, 220)

    def _wire(self) -> None:
        self.choose.image.currentIndexChanged.connect(lambda _index: self._on_image())
        self.choose.changed.connect(self._on_choice)
        self.reporter.changed.connect(self._allow)
        self.state.finished_changed.connect(self._on_finished)
        self.result.row_chosen.connect(self._on_row)
        self.result.comparison_chosen.connect(self._on_point)
        self.result.arrays_wanted.connect(self._add_arrays)
        self.overlayer.said.connect(self.result.show_legend)
        for part in (self.reporter, self.overlayer, self.saver):
            part.failed.connect(self.fail)

    def _heard(self) -> list[tuple[Any, Callable[..., object]]]:
        return [*super()._heard(), (self._viewer.events.theme, self._on_theme)]

    # The dock's own life.

    def showEvent(self, a0: QShowEvent | None) -> None:  # noqa: N802
        """Go to the bottom of the window the first time."""
        super().showEvent(a0)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._go_to_the_bottom)

    def resizeEvent(self, a0: QResizeEvent | None) -> None:  # noqa: N802
        """Put the report beside the choices, or under them where the dock is narrow."""
        super().resizeEvent(a0)
        wide = self.width() >= _NARROW
        wanted = Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
        if self.splitter.orientation() != wanted:
            self.splitter.setOrientation(wanted)
            if wide:
                self.splitter.setSizes([_CHOICES, max(self.width() - _CHOICES, 400)])

    def _go_to_the_bottom(self) -> None:
        """Move from the side, where napari opens every dock, to the bottom: the report is wide."""
        dock = self.parent()
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parent()
        window = None if dock is None else dock.parent()
        if dock is None or not isinstance(window, QMainWindow) or self._closed:
            return
        side = window.dockWidgetArea(dock)
        if dock.isFloating() or side != Qt.DockWidgetArea.RightDockWidgetArea:
            return  # it was put there by somebody
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
        window.resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)

    def _stop(self) -> None:
        for part in (self.reporter, self.overlayer, self.saver):
            part.drop()

    def _start_again(self) -> None:
        self.choose.show_idle("")
        self.follow_layers()

    @property
    def busy(self) -> bool:
        """Whether anything is being worked out or written."""
        return self.reporter.running or self.overlayer.busy or self.saver.running

    # The image and its layers.

    def _list_layers(self) -> None:
        self._pictures.follow()
        self._list_maps()
        self.choose.show_labels(labels_layers(self._viewer.layers))

    def _on_image(self) -> None:
        self._pictures.take_chosen()
        self.follow_layers()

    def _list_maps(self) -> None:
        picture = self.state.picture
        offered = [] if picture is None else judgeable(self._viewer.layers)
        # Those of the image first; what lies elsewhere can be resampled.
        here = [] if picture is None else [each for each in offered if picture.holds(each)]
        here.sort(key=lambda each: not isinstance(each, Image))
        elsewhere = [each for each in offered if not any(each is other for other in here)]
        ticked = self.choose.maps.chosen
        if self.choose.all_cams.isChecked():
            ticked = [each for each in here if is_cam(each)]
        self.choose.show_maps([*here, *elsewhere], ticked)

    # What can be done.

    def _on_choice(self) -> None:
        if not self._following and not self._closed:
            self._following = True
            try:
                if self.choose.all_cams.isChecked():
                    self._list_maps()
            finally:
                self._following = False
        self._allow()

    def _allow(self) -> None:
        self.reporter.follow_maps()
        self.choose.show_state(self.state.missing, self.reporter.running)

    # The report.

    def _on_finished(self) -> None:
        from napari_cam.reports.page.tables import printable

        finished = self.state.finished
        if finished is not None:
            layers = {
                printable(name.label): str(layer.name)
                for name, reference in self.state.layers.items()
                if (layer := reference()) is not None
            }
            self.result.show_report(finished.shown, _ink_of(self._viewer), layers)

    def _on_theme(self, _event: Any = None) -> None:
        self.result.set_ink(_ink_of(self._viewer))

    def _on_row(self, row: int) -> None:
        finished = self.state.finished
        if finished is not None:
            self.fail("")
            self.overlayer.show(comparison_of_row(finished.report, finished.given, row))

    def _on_point(self, comparison: Comparison) -> None:
        """Look at a cell or a point; its threshold is now that of table and matrix."""
        self.fail("")
        self.result.show_threshold(comparison.threshold)
        self.overlayer.show(comparison)

    def _add_arrays(self) -> None:
        count = self.overlayer.add_arrays()
        if count:
            self.result.say(f"{count} map{'s' * (count != 1)} added as layers.")


def _ink_of(viewer: Any) -> Ink:
    """Return the colours of a viewer's theme."""
    from napari.utils.theme import get_theme

    theme = get_theme(str(viewer.theme))
    return Ink(*(_hex(colour) for colour in (theme.background, theme.text, theme.highlight)))


def _hex(colour: Any) -> str:
    as_hex = getattr(colour, "as_hex", None)
    text = str(as_hex() if as_hex is not None else colour)
    # Pydantic shortens #ffffff to #fff.
    return f"#{''.join(2 * each for each in text[1:])}" if len(text) == 4 else text
