"""Step 3: run, watch, stop, and walk through the slices with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_cam.normalize import NORMALIZE
from napari_cam.widgets.controls.parts import Hint, allow, button, column, combo, form, tick
from napari_cam.widgets.controls.shortcuts import KEYS
from napari_cam.widgets.controls.tooltips import describe

if TYPE_CHECKING:
    from napari_cam.widgets.docks.cam.work.running import Progress


_SCOPES = [("this slice", False), ("all slices", True)]


class CompareRow(QWidget):
    """The part that lays heatmaps side by side: which comparison, of what."""

    methods_wanted = Signal()
    levels_wanted = Signal()
    leave_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.methods = button("compare_methods", "Compare methods", self.methods_wanted.emit)
        self.levels = button("all_levels", "All levels", self.levels_wanted.emit)
        self.scope = combo("compare_scope", _SCOPES)
        self.leave = button("leave_grid", "Leave the grid", self.leave_wanted.emit)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.methods, 0, 0)
        layout.addWidget(self.levels, 0, 1)
        layout.addWidget(self.scope, 1, 0)
        layout.addWidget(self.leave, 1, 1)
        self._no_levels = ""
        self._missing = ""
        self.show_grid(False)

    @property
    def whole(self) -> bool:
        """Whether all slices are explained, not only the one on screen."""
        return bool(self.scope.currentData())

    def show_missing(self, missing: str) -> None:
        """Enable comparing, or say what is missing."""
        self._missing = missing
        allow(self.methods, missing)
        allow(self.levels, missing or self._no_levels)

    def show_levels(self, missing: str) -> None:
        """Say why the network has no levels, "" where it has."""
        self._no_levels = missing
        self.show_missing(self._missing)

    def show_grid(self, shown: bool) -> None:
        """Show whether the heatmaps lie side by side."""
        self.leave.setVisible(shown)


class HeatmapStep(QWidget):
    """Running, its progress, and what the network says about the slice on screen."""

    run_wanted = Signal()
    preview_wanted = Signal()
    cancel_wanted = Signal()
    step_wanted = Signal(int)
    changed = Signal()
    follow_changed = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.normalize = combo("normalize", NORMALIZE.entries)
        self.preview = button(
            "preview", f"Preview this slice ({KEYS['preview']})", self.preview_wanted.emit
        )
        self.run = button("run", f"Run all slices ({KEYS['run']})", self.run_wanted.emit)
        self.cancel = button("cancel", f"Cancel ({KEYS['cancel']})", self.cancel_wanted.emit)
        self.follow = tick("follow", "explain this slice anew after each choice")
        self.follow.toggled.connect(self.follow_changed.emit)
        self.explored = QLabel()
        self.explored.setWordWrap(True)
        self.explored.setVisible(False)
        self.compare = CompareRow()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.time = QLabel()
        self.time.setWordWrap(True)
        self.hint = Hint()
        self.previous = button(
            "previous", f"‹ Evidence ({KEYS['previous']})", lambda: self.step_wanted.emit(-1)
        )
        self.next = button("next", f"Evidence › ({KEYS['next']})", lambda: self.step_wanted.emit(1))
        self.slice_title = QLabel()
        self.scores = QTableWidget(0, 3)
        describe(self.scores, "scores")
        self._lay_out()
        self.show_idle("")
        self.show_scores("")
        self.normalize.currentIndexChanged.connect(lambda _index: self.changed.emit())

    def _lay_out(self) -> None:
        layout = column(self)
        rows = form()
        rows.addRow("Stretch", self.normalize)
        layout.addLayout(rows)
        buttons = QGridLayout()
        buttons.addWidget(self.preview, 0, 0)
        buttons.addWidget(self.run, 0, 1)
        buttons.addWidget(self.cancel, 1, 0, 1, 2)
        layout.addLayout(buttons)
        layout.addWidget(self.follow)
        layout.addWidget(self.explored)
        layout.addWidget(self.hint)
        layout.addWidget(self.bar)
        layout.addWidget(self.time)
        layout.addWidget(self.compare)
        walk = QHBoxLayout()
        walk.addWidget(self.previous)
        walk.addWidget(self.next)
        layout.addLayout(walk)
        layout.addWidget(self.slice_title)
        self.scores.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.scores.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        numbers, header = self.scores.verticalHeader(), self.scores.horizontalHeader()
        if numbers is not None and header is not None:
            numbers.setVisible(False)
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        layout.addWidget(self.scores)

    def show_missing(self, missing: str) -> None:
        """Enable running, or say what is missing."""
        allow(self.run, missing)
        allow(self.preview, missing)
        self.compare.show_missing(missing)
        self.hint.say(missing)

    def show_running(self, what: str) -> None:
        """Show that a run has begun, of which nothing is known yet."""
        self.bar.setRange(0, 0)
        self.bar.setVisible(True)
        self.time.setText(what)
        self.time.setVisible(True)
        allow(self.cancel, "")
        allow(self.normalize, "A run is under way; change it when it has ended.")
        self.cancel.setText(f"Cancel ({KEYS['cancel']})")
        self.cancel.setVisible(True)

    def show_progress(self, progress: Progress) -> None:
        """Show how far the run is and how long it will take."""
        # By itself the bar paints at once, and with it the whole window beneath an OpenGL canvas.
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        self.bar.setUpdatesEnabled(True)
        text = f"{progress.done} of {progress.total}"
        if progress.done:
            left = progress.seconds / progress.done * (progress.total - progress.done)
            text += f", {duration(left)} left"
        self.time.setText(text)

    def show_cancelling(self) -> None:
        """Show that the run stops as soon as it can."""
        allow(self.cancel, "The slices that are being computed are finished first.")
        self.cancel.setText("Cancelling …")

    def show_idle(self, text: str) -> None:
        """Show that nothing runs, and how the last run ended."""
        self.bar.setVisible(False)
        self.cancel.setVisible(False)
        allow(self.normalize, "")
        self.time.setText(text)
        self.time.setVisible(bool(text))

    def show_explored(self, text: str) -> None:
        """Say what was explained after the last choice."""
        self.explored.setText(text)
        self.explored.setVisible(bool(text))

    def show_scores(
        self, title: str, columns: Sequence[str] = (), rows: Sequence[Sequence[str]] = ()
    ) -> None:
        """Show what the network says about a slice; no table where nothing is known."""
        self.slice_title.setText(title)
        self.slice_title.setVisible(bool(title))
        self.scores.setVisible(bool(rows))
        if not rows:
            return
        self.scores.setColumnHidden(2, len(columns) < 3)
        self.scores.setHorizontalHeaderLabels(columns)
        self.scores.setRowCount(len(rows))
        for row, words in enumerate(rows):
            self._fill_row(row, words)
        self.scores.setFixedHeight(24 * len(rows) + 30)

    def _fill_row(self, row: int, words: Sequence[str]) -> None:
        for place, text in enumerate(words):
            item = QTableWidgetItem(text)
            if place:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.scores.setItem(row, place, item)
        self.scores.setRowHeight(row, 24)


def duration(seconds: float) -> str:
    """Return a time as people say it: "4 s", "3 min", "1 h 05 min"."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
