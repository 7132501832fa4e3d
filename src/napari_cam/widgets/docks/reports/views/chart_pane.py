"""One of several charts to choose from: hover to be told, click to look."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cam.widgets.controls.parts import combo, refill
from napari_cam.widgets.docks.reports.views.canvas import Canvas, Ink
from napari_cam.widgets.docks.reports.work.charts import Curves, Matrix
from napari_cam.widgets.docks.reports.work.look import Look

Chart = TypeVar("Chart", Matrix, Curves)


class ChartPane(QWidget, Generic[Chart]):
    """A list of charts and the one of them that is drawn.

    Parameters
    ----------
    name
        Of the list, for its tooltip.
    help_text
        What mouse and click do; said while the mouse is at nothing.
    """

    chosen = Signal(object)  # Look

    def __init__(self, name: str, help_text: str) -> None:
        super().__init__()
        self.what = combo(name)
        self.said = QLabel(help_text)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setWordWrap(True)
        self.canvas: Canvas | None = None
        self._help = help_text
        self._charts: list[Chart] = []
        self._axes: Any = None
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 4, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.what, 2)
        row.addWidget(self.said, 3)
        self._box.addLayout(row)
        self.what.currentIndexChanged.connect(lambda _index: self._draw_chosen())

    @property
    def chart(self) -> Chart | None:
        """The one that is shown."""
        place = self.what.currentIndex()
        return self._charts[place] if 0 <= place < len(self._charts) else None

    def show_charts(self, charts: list[Chart], ink: Ink) -> None:
        """Show other charts, the first of them at first."""
        self._charts = charts
        refill(self.what, [(each.title, None) for each in charts])
        if charts and self.canvas is None:
            self.canvas = Canvas(ink)
            self._box.insertWidget(1, self.canvas, 1)
            self.canvas.mpl_connect("motion_notify_event", self._on_move)
            self.canvas.mpl_connect("axes_leave_event", self._on_leave)
            self.canvas.mpl_connect("button_press_event", self._on_press)
        self.set_ink(ink)

    def set_ink(self, ink: Ink) -> None:
        """Take the colours of another theme."""
        if self.canvas is not None:
            self.canvas.ink = ink
            self._draw_chosen()

    @abstractmethod
    def _draw(self, chart: Chart, canvas: Canvas) -> Any:
        """Draw a chart and return its axes."""

    @abstractmethod
    def _at(self, chart: Chart, event: Any) -> tuple[str, Look] | None:
        """Return what to say of the place in the axes that the mouse is at, and what to look at."""

    def _draw_chosen(self) -> None:
        if self.chart is not None and self.canvas is not None:
            self._axes = self._draw(self.chart, self.canvas)
            self.canvas.redraw()

    def _found(self, event: Any) -> tuple[str, Look] | None:
        if self.chart is None or event.inaxes is not self._axes or event.xdata is None:
            return None
        return self._at(self.chart, event)

    def _on_move(self, event: Any) -> None:
        found = self._found(event)
        self.said.setText(self._help if found is None else found[0])

    def _on_leave(self, _event: Any) -> None:
        self.said.setText(self._help)

    def _on_press(self, event: Any) -> None:
        found = self._found(event)
        if found is not None:
            self.chosen.emit(found[1])
