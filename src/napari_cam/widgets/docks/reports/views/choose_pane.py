"""What is judged, by what, and how: the left side of the dock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_cam.widgets.controls.layer_combo import LayerCombo
from napari_cam.widgets.controls.parts import (
    Fold,
    Hint,
    allow,
    button,
    combo,
    form,
    quiet,
    refill,
    tick,
)
from napari_cam.widgets.controls.reference_box import ReferenceBox
from napari_cam.widgets.controls.tick_list import TickList
from napari_cam.widgets.docks.reports.views.network_form import NetworkForm

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_cam.widgets.docks.reports.work.request import Kind

KINDS: list[tuple[str, Kind]] = [
    ("Overlap with a reference", "overlap"),
    ("Agreement of maps", "agreement"),
    ("Faithfulness to the network", "faithfulness"),
]
PRESETS = (
    "0.1..0.9",
    "0.1..0.9, otsu, quantile:0.9, quantile:0.95",
    "0.05..0.95:0.05",
    "otsu, li, triangle, yen",
    "0.5",
)
"""Thresholds to choose from; the first is what the papers use."""

_WITHIN = [("everywhere", ""), ("tissue (k-means)", "kmeans"), ("tissue (Otsu)", "otsu")]
_EMPTY = [("undefined", np.nan), ("0", 0.0), ("1", 1.0)]
_INEQUALITY = [("> cut", True), ("≥ cut", False)]
_HEADLINE = "fixed(0.5)"
_NO_REFERENCE = "Choose a reference: a labels layer to compare with."
_NOTHING = "Make or open heatmaps, masks or labels of this image first."
_TICK_ONE = "Tick at least one map."
_TICK_TWO = "Tick at least two maps: agreement is between them."
_NO_NETWORK = (
    "The network that made the maps is not open in the CAM dock; choose it under Network, or open "
    "its file."
)


class ChoosePane(QWidget):
    """The choices, and below them the run."""

    changed = Signal()
    thresholds_typed = Signal(str)
    run_wanted = Signal()
    cancel_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.image = combo("report_image")
        self.kind = combo("report_kind", KINDS)
        self.all_cams = tick("all_cams", "all CAM heatmaps of this image")
        self.all_cams.setChecked(True)
        self.maps = TickList("judged")
        self.rows, self.more = form(), form()
        self.reference = ReferenceBox(self.rows, "report_reference")
        self.within = LayerCombo("report_foreground", _WITHIN)
        self.rows.addRow("Within", self.within.box)
        self.thresholds = combo("report_thresholds", [(text, None) for text in PRESETS])
        self.thresholds.setEditable(True)
        self.headline = combo("report_headline")
        self.rows.addRow("Thresholds", self.thresholds)
        self.rows.addRow("Shown first", self.headline)
        self.network = NetworkForm(self.rows)
        self.resample = tick("report_resample", "Resample what lies on another grid")
        self.inequality = combo("report_inequality", _INEQUALITY)
        self.empty = combo("report_empty", _EMPTY)
        self.soft = tick("report_soft", "also without a threshold")
        self.surfaces = tick("report_surfaces", "surface distances")
        self.names = tick("report_names", "call maps as their layers")
        self.run = button("report_run", "Make the report", self.run_wanted.emit)
        self.cancel = button("report_cancel", "Cancel", self.cancel_wanted.emit)
        self.bar = QProgressBar()
        self.said = QLabel()
        self.hint = Hint()
        self.scroll_area = QScrollArea()
        self._wrong = ""
        self._lay_out()
        self._wire()
        self._on_kind()
        self.show_idle("")

    def _lay_out(self) -> None:
        for box in (self.soft, self.surfaces):
            box.setChecked(True)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        top = form()
        top.addRow("Image", self.image)
        top.addRow("Report", self.kind)
        self.more.addRow("In is", self.inequality)
        self.more.addRow("Two empty masks", self.empty)
        rest = QWidget()
        below = QVBoxLayout(rest)
        below.setContentsMargins(8, 0, 0, 0)
        below.addLayout(self.more)
        for box in (self.soft, self.surfaces, self.names):
            below.addWidget(box)
        choices = QWidget()
        layout = QVBoxLayout(choices)
        layout.setContentsMargins(4, 4, 8, 4)
        layout.setSpacing(5)
        layout.addLayout(top)
        layout.addWidget(self.all_cams)
        layout.addWidget(self.maps)
        layout.addLayout(self.rows)
        layout.addWidget(self.resample)
        layout.addWidget(Fold("More", rest, opened=False))
        layout.addStretch(1)
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll_area.setWidget(choices)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 4)
        outer.setSpacing(4)
        outer.addWidget(self.scroll_area, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run, 1)
        buttons.addWidget(self.cancel)
        outer.addLayout(buttons)
        for widget in (self.bar, self.said, self.hint):
            outer.addWidget(widget)

    def _wire(self) -> None:
        self.kind.currentIndexChanged.connect(lambda _index: self._on_kind())
        self.thresholds.currentTextChanged.connect(self.thresholds_typed.emit)
        self.maps.ticked.connect(self._on_ticked)
        self.all_cams.toggled.connect(lambda _on: self.changed.emit())
        self.reference.changed.connect(self.changed.emit)
        self.within.box.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.network.changed.connect(self.changed.emit)

    # What is chosen.

    @property
    def chosen_kind(self) -> Kind:
        """Which report."""
        kind: Kind = self.kind.currentData()
        return kind

    @property
    def missing(self) -> str:
        """What is still to be chosen, "" for nothing."""
        kind, chosen = self.chosen_kind, self.maps.chosen
        if not self.maps.count():
            return _NOTHING
        if len(chosen) < 2 and kind == "agreement":
            return _TICK_TWO
        if not chosen:
            return _TICK_ONE
        if kind == "overlap" and self.reference.chosen is None:
            return self.reference.hint.text() or _NO_REFERENCE
        if kind == "faithfulness" and self.network.missing:
            return _NO_NETWORK
        return "" if kind == "faithfulness" else self._wrong

    def _on_kind(self) -> None:
        kind = self.chosen_kind
        self.reference.show_rows(kind != "agreement")
        for box in (self.thresholds, self.headline):
            self.rows.setRowVisible(box, kind != "faithfulness")
        for box in (self.inequality, self.empty):
            self.more.setRowVisible(box, kind != "faithfulness")
        self.soft.setVisible(kind != "faithfulness")
        self.surfaces.setVisible(kind == "overlap")
        self.network.set_visible(kind == "faithfulness")
        self.changed.emit()

    def _on_ticked(self) -> None:
        with quiet(self.all_cams):
            self.all_cams.setChecked(False)
        self.changed.emit()

    # What is shown.

    def show_maps(self, layers: Sequence[Any], ticked: Sequence[Any]) -> None:
        """List layers that can be judged."""
        self.maps.show_layers(layers, ticked)

    def show_labels(self, layers: Iterable[Labels]) -> None:
        """List labels layers as references and foregrounds."""
        found = list(layers)
        self.reference.follow(found)
        self.within.follow(found)

    def show_thresholds(self, names: Sequence[str], wrong: str) -> None:
        """List thresholds, one of which is shown first; `wrong` says why there are none."""
        before, self._wrong = self.headline.currentText() or _HEADLINE, wrong
        wanted = next((name for name in (before, _HEADLINE) if name in names), None)
        place = 0 if wanted is None else names.index(wanted)
        refill(self.headline, [(name, None) for name in names], place)
        self.changed.emit()

    def show_state(self, missing: str, running: bool) -> None:
        """Enable what can be done, or say what is missing."""
        reason = missing or self.missing
        allow(self.run, "A report is being made." if running else reason)
        self.hint.say("" if running else reason)
        for control in (self.kind, self.maps, self.all_cams, self.reference.list.box):
            allow(control, missing)

    def show_running(self, what: str, done: int, total: int) -> None:
        """Show how far the report is."""
        # By itself the bar paints at once, and with it the whole window beneath an OpenGL canvas.
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.bar.setUpdatesEnabled(True)
        self.bar.setVisible(True)
        self.cancel.setVisible(True)
        self.said.setText(f"{what} {done} of {total}" if total else what)
        self.said.setVisible(True)

    def show_cancelling(self) -> None:
        """Show that the report ends as soon as it can."""
        allow(self.cancel, "The map, or slice, that is being looked at is finished first.")
        self.cancel.setText("Cancelling …")

    def show_idle(self, text: str) -> None:
        """Show that nothing runs, and how the last report went."""
        self.bar.setVisible(False)
        self.cancel.setVisible(False)
        self.cancel.setText("Cancel")
        allow(self.cancel, "")
        self.said.setText(text)
        self.said.setVisible(bool(text))
