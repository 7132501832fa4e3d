"""The report: what is to be known first, then table, matrix, curves, figures and text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPlainTextEdit, QTabWidget, QVBoxLayout, QWidget

from napari_cam.widgets.controls.parts import allow, button
from napari_cam.widgets.controls.tooltips import describe
from napari_cam.widgets.docks.reports.views.chart_pane import (
    Colours,
    CurvesPane,
    Legend,
    MatrixPane,
)
from napari_cam.widgets.docks.reports.views.figures_pane import FiguresPane
from napari_cam.widgets.docks.reports.views.table_pane import TablePane

if TYPE_CHECKING:
    from napari_cam.widgets.docks.reports.views.canvas import Ink
    from napari_cam.widgets.docks.reports.work.presenting import ShownReport

_EMPTY = (
    "No report yet.\nChoose what is judged at the left and press Make the report; each control "
    "says on hover what it does."
)
_NO_REPORT = "Make a report first."
_NO_ARRAYS = "This report has no maps."
_NOTES_LINES, _MOST_LINES = 3, 5


class ResultPane(QWidget):
    """Everything that is shown of a report, and what can be done with it."""

    row_chosen = Signal(int)
    comparison_chosen = Signal(object)
    copy_wanted = Signal()
    save_wanted = Signal()
    replace_wanted = Signal()
    arrays_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.title = QLabel()
        self.nothing = QLabel(_EMPTY)
        self.notes = QPlainTextEdit()
        self.table = TablePane()
        self.matrix = MatrixPane()
        self.curves = CurvesPane()
        self.figures = FiguresPane()
        self.text = QPlainTextEdit()
        self.tabs = QTabWidget()
        self.shown = Legend()
        self.copy = button("copy_rows", "Copy", self.copy_wanted.emit)
        self.save = button("save_report", "Save files…", self.save_wanted.emit)
        self.replace = button("replace_files", "Replace them", self.replace_wanted.emit)
        self.arrays = button("add_arrays", "Add as layers", self.arrays_wanted.emit)
        self.done = QLabel()
        self._lay_out()
        self.table.row_chosen.connect(self.row_chosen.emit)
        for chart in (self.matrix, self.curves):
            chart.chosen.connect(self.comparison_chosen.emit)
        self.show_nothing()

    def _lay_out(self) -> None:
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setWordWrap(True)
        self.title.setStyleSheet("font-weight: bold; font-size: 14px;")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.nothing.setWordWrap(True)
        self.done.setTextFormat(Qt.TextFormat.PlainText)
        self.done.setWordWrap(True)
        for box, name in ((self.notes, "report_notes"), (self.text, "report_text")):
            describe(box, name)
            box.setReadOnly(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.replace.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        row = QHBoxLayout()
        row.addWidget(self.title, 1)
        for each in (self.copy, self.save, self.arrays):
            row.addWidget(each)
        layout.addLayout(row)
        below = QHBoxLayout()
        below.addWidget(self.done, 1)
        below.addWidget(self.replace)
        layout.addLayout(below)
        layout.addWidget(self.notes)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.shown)
        layout.addWidget(self.nothing, 1)

    def show_nothing(self) -> None:
        """Show that there is no report."""
        for widget in (self.notes, self.tabs, self.shown, self.done):
            widget.setVisible(False)
        for control in (self.copy, self.save, self.arrays):
            allow(control, _NO_REPORT)

    def show_report(self, report: ShownReport, ink: Ink, layers: Mapping[str, str]) -> None:
        """Show a report; `layers` tells for the names of its maps what their layers are called."""
        self.nothing.setVisible(False)
        self.title.setText(report.title)
        self.notes.setPlainText("\n".join(f"• {note}" for note in report.notes))
        self._fit_notes(len(report.notes), 1 + report.verdicts)
        self.table.show_columns(report.columns, report.first)
        self.table.model.layers = layers
        self.matrix.show_charts(report.matrices, ink)
        self.curves.show_charts(report.curves, ink)
        self.figures.show_figures(report.figures)
        self.text.setPlainText(report.text)
        any_curve = any(len(each.thresholds) > 1 for each in report.curves)
        self._show_tabs(bool(report.matrices), any_curve)
        for widget in (self.notes, self.tabs, self.shown):
            widget.setVisible(True)
        for control in (self.copy, self.save):
            allow(control, "")
        allow(self.arrays, "" if report.has_maps else _NO_ARRAYS)
        self.shown.say("", ())
        self.say("")

    def _fit_notes(self, count: int, wanted: int) -> None:
        """Make the notes as high as they are, up to a few whole lines, more to show verdicts."""
        most = min(max(_NOTES_LINES, wanted), _MOST_LINES)
        document = self.notes.document()
        margin = document.documentMargin() if document is not None else 4
        margins = margin if count > most else 2 * margin  # no part of a line below
        lines = min(count, most) * self.notes.fontMetrics().lineSpacing()
        self.notes.setFixedHeight(int(lines + margins) + 2 * self.notes.frameWidth())

    def _show_tabs(self, matrix: bool, curves: bool) -> None:
        before = self.tabs.tabText(self.tabs.currentIndex())
        self.tabs.clear()
        pages: list[tuple[str, QWidget, bool]] = [
            ("Table", self.table, True),
            ("Matrix", self.matrix, matrix),
            ("Curves", self.curves, curves),
            ("Figures", self.figures, True),
            ("Text", self.text, True),
        ]
        for title, page, there in pages:
            if there:
                place = self.tabs.addTab(page, title)
                if title == before:
                    self.tabs.setCurrentIndex(place)

    def show_threshold(self, threshold: str) -> None:
        """Show table and matrix at a threshold, where they have it."""
        self.matrix.show_threshold(threshold)
        if self.table.filters["threshold_a"].currentData() is not None:
            self.table.choose("threshold_a", threshold)

    def set_ink(self, ink: Ink) -> None:
        """Take the colours of another theme."""
        self.matrix.set_ink(ink)
        self.curves.set_ink(ink)

    def say(self, text: str, replace: bool = False) -> None:
        """Say what was done with the report; whether files may be replaced is asked beside it."""
        self.done.setText(text)
        self.done.setVisible(bool(text))
        self.replace.setVisible(replace)

    def show_legend(self, text: str, colours: Colours) -> None:
        """Say what the viewer shows of the report, and what its colours mean."""
        self.shown.say(text, colours)
