"""Charts of a report, hover to be told, click to look: matrices, curves by threshold; a legend."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_cam.widgets.controls.parts import combo, refill
from napari_cam.widgets.docks.reports.views.canvas import Canvas, Ink

if TYPE_CHECKING:
    from napari_cam.widgets.docks.reports.work.charting import Curves, Matrix
    from napari_cam.widgets.docks.reports.work.comparing import Comparison

Chart = TypeVar("Chart", "Matrix", "Curves")
Colours = Sequence[tuple[int, str, str]]
_OF_MATRIX = "Point at a cell for its number; click to see its masks."
_OF_CURVES = "Point at a curve for its numbers; click a point to see the masks at its threshold."
_OF_LEGEND = "Click a row, a cell or a point to see its masks in the viewer."
_WITH_NUMBERS = 16  # a matrix of more maps shows colours alone
_SCALES = {0.0: "cividis", -1.0: "PuOr"}  # by the lowest value; told apart by everyone
_NEAR = 14  # pixels from a point
_IN_LEGEND = 12
# Okabe and Ito's, light enough for a dark ground and dark enough for a light one.
_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#999999")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
_SIDE = 12  # pixels of a colour in the legend


class ChartPane(QWidget, Generic[Chart]):
    """A list of charts and the one of them that is drawn.

    Parameters
    ----------
    name
        Of the list, for its tooltip.
    help_text
        What mouse and click do; said while the mouse is at nothing.
    """

    chosen = Signal(object)  # the comparison behind a number

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
    def _at(self, chart: Chart, event: Any) -> tuple[str, Comparison] | None:
        """Return what to say of the place in the axes that the mouse is at, and what to look at."""

    def _draw_chosen(self) -> None:
        if self.chart is not None and self.canvas is not None:
            self._axes = self._draw(self.chart, self.canvas)
            self.canvas.redraw()

    def _found(self, event: Any) -> tuple[str, Comparison] | None:
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


class MatrixPane(ChartPane["Matrix"]):
    """One of several matrices."""

    def __init__(self) -> None:
        super().__init__("matrix_what", _OF_MATRIX)

    def show_threshold(self, threshold: str) -> None:
        """Show the matrix at a threshold, where there is one."""
        for place, matrix in enumerate(self._charts):
            if matrix.title.endswith(f"at {threshold}"):
                self.what.setCurrentIndex(place)

    def _draw(self, chart: Matrix, canvas: Canvas) -> Any:
        from napari_cam.reports.page.plotting import name_ticks

        axes = canvas.fresh_axes()
        values = chart.values
        scale = _SCALES[chart.low]
        image = axes.imshow(values, cmap=scale, vmin=chart.low, vmax=chart.high, aspect="auto")
        name_ticks(axes, "y", chart.rows)
        names = [_bare_threshold(each) for each in chart.columns]
        name_ticks(axes, "x", names, turn=canvas.turn_of(names))
        if max(values.shape) <= _WITH_NUMBERS:
            for (row, column), value in np.ndenumerate(values):
                if np.isfinite(value):
                    colour = _readable(image.cmap(image.norm(value)))
                    axes.text(
                        *(column, row, f"{value:.2f}"), ha="center", va="center", fontsize=8,
                        color=colour,
                    )  # fmt: skip
        bar = canvas.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.01)
        bar.outline.set_edgecolor(canvas.ink.lines)
        canvas.dress(axes)
        bar.ax.tick_params(colors=canvas.ink.letters, labelsize=8)
        return axes

    def _at(self, chart: Matrix, event: Any) -> tuple[str, Comparison] | None:
        row, column = round(event.ydata), round(event.xdata)
        point = chart.points.get((row, column))
        if point is None:
            return None
        return f"{chart.rows[row]}  |  {chart.columns[column]}:  {point.text}", point.comparison


class CurvesPane(ChartPane["Curves"]):
    """One of several families of curves."""

    def __init__(self) -> None:
        super().__init__("curves_what", _OF_CURVES)

    def _draw(self, chart: Curves, canvas: Canvas) -> Any:
        from napari_cam.reports.page.plotting import label, name_ticks

        axes = canvas.fresh_axes()
        for place, (name, line) in enumerate(chart.points.items()):
            values = [np.nan if point is None else point.value for point in line]
            axes.plot(
                range(len(values)), values, label=label(name), linewidth=1.4, markersize=5,
                color=_COLOURS[place % len(_COLOURS)], marker=_MARKERS[place % len(_MARKERS)],
            )  # fmt: skip
        axes.set_ylim(-0.03, 1.03)
        names = [_bare_threshold(each) for each in chart.thresholds]
        turn = canvas.turn_of(names)
        name_ticks(axes, "x", names, turn=turn)
        axes.set_xlabel("threshold")
        axes.set_ylabel(chart.short)
        axes.grid(color=canvas.ink.lines, alpha=0.35, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        canvas.dress(axes)
        if 1 < len(chart.points) <= _IN_LEGEND:
            box = canvas.figure.legend(
                loc="outside right upper", fontsize=8, frameon=False,
                labelcolor=canvas.ink.letters,
            )  # fmt: skip
            box.set_in_layout(True)
        return axes

    def _at(self, chart: Curves, event: Any) -> tuple[str, Comparison] | None:
        best, found = float(_NEAR), None
        for name, line in chart.points.items():
            for place, point in enumerate(line):
                if point is None or np.isnan(point.value):
                    continue
                x, y = event.inaxes.transData.transform((place, point.value))
                apart = float(np.hypot(x - event.x, y - event.y))
                if apart <= best:
                    said = f"{name} at {chart.thresholds[place]}:  {point.text}"
                    best, found = apart, (said, point.comparison)
        return found


def _bare_threshold(threshold: str) -> str:
    """Return "0.5" of "fixed(0.5)": most thresholds are numbers; other names stay."""
    if threshold.startswith("fixed(") and threshold.endswith(")"):
        return threshold[len("fixed(") : -1]
    return threshold


def _readable(colour: tuple[float, ...]) -> str:
    """Return black or white, whichever stands out on a colour."""
    red, green, blue = colour[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


class Legend(QWidget):
    """One line that says what the viewer shows of a report, with its colours."""

    def __init__(self) -> None:
        super().__init__()
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._colours: Colours = ()
        self._swatches: list[QWidget] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addWidget(self.text, 1)
        self.say("", ())

    def say(self, text: str, colours: Colours) -> None:
        """Say what is shown; where `text` is empty, how to see something."""
        self.text.setText(text or _OF_LEGEND)
        if tuple(colours) != tuple(self._colours):
            self._colours = tuple(colours)
            self._swatch()

    def _swatch(self) -> None:
        for widget in self._swatches:
            self._row.removeWidget(widget)
            widget.deleteLater()
        self._swatches = []
        for _, name, colour in self._colours:
            square = QLabel()
            square.setFixedSize(_SIDE, _SIDE)
            square.setStyleSheet(f"background: {colour}; border: 1px solid #808890;")
            for widget in (square, QLabel(name)):
                self._row.addWidget(widget)
                self._swatches.append(widget)
