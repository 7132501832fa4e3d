"""Step 4: paint, go from slice to slice, tick what is reviewed."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QWidget

from napari_cam.widgets.controls.parts import Hint, allow, button, column, combo, form, quiet, tick
from napari_cam.widgets.controls.tooltips import describe

_DISAGREE = [
    ("the members of step 1", "members"),
    ("seeds and preview", "preview"),
]


class ReviewStep(QWidget):
    """The active class, the brush, the slices."""

    paint_wanted = Signal()
    class_wanted = Signal(int)
    radius_wanted = Signal(float)
    go_wanted = Signal(int)
    open_wanted = Signal()
    tick_wanted = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.paint = button("paint_seeds", "Paint", self.paint_wanted.emit)
        self.class_name = QLabel()
        self.previous_class = button(
            "previous_class", "◀ Class (Shift+F2)", lambda: self.class_wanted.emit(-1)
        )
        self.next_class = button(
            "next_class", "Class (Shift+F3) ▶", lambda: self.class_wanted.emit(1)
        )
        self.radius = QDoubleSpinBox()
        describe(self.radius, "brush_radius")
        self.radius.setDecimals(2)
        self.radius.setRange(0.01, 999.0)
        self.radius.setKeyboardTracking(False)
        self.brush = QLabel()
        self.brush.setWordWrap(True)
        self.between = combo("disagreement", _DISAGREE)
        self.previous = button(
            "previous_disagreement", "Previous (Shift+F7)", lambda: self.go_wanted.emit(-1)
        )
        self.next = button("next_disagreement", "Next (Shift+F8)", lambda: self.go_wanted.emit(1))
        self.disputed = QLabel()
        self.disputed.setWordWrap(True)
        self.disputed.setVisible(False)
        self.reviewed = tick("reviewed", "this slice is reviewed (Shift+F4)")
        self.unreviewed = button("next_open", "Next not reviewed", self.open_wanted.emit)
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.hint = Hint()
        self._lay_out()
        self.radius.valueChanged.connect(self.radius_wanted.emit)
        self.reviewed.toggled.connect(self.tick_wanted.emit)

    def _lay_out(self) -> None:
        layout = column(self)
        layout.addWidget(self.hint)
        first = QHBoxLayout()
        first.addWidget(self.paint)
        first.addWidget(self.class_name, 1)
        layout.addLayout(first)
        classes = QHBoxLayout()
        classes.addWidget(self.previous_class)
        classes.addWidget(self.next_class)
        layout.addLayout(classes)
        rows = form()
        rows.addRow("Brush radius", self.radius)
        layout.addLayout(rows)
        layout.addWidget(self.brush)
        between = form()
        between.addRow("Disagreement of", self.between)
        layout.addLayout(between)
        slices = QHBoxLayout()
        slices.addWidget(self.previous)
        slices.addWidget(self.next)
        layout.addLayout(slices)
        layout.addWidget(self.disputed)
        layout.addWidget(self.reviewed)
        layout.addWidget(self.unreviewed)
        layout.addWidget(self.counts)

    def show_state(self, no_seeds: str, no_dispute: str, one_class: str) -> None:
        """Enable the controls, or say what is missing."""
        for control in (self.paint, self.radius, self.reviewed, self.unreviewed):
            allow(control, no_seeds)
        for control in (self.previous_class, self.next_class):
            allow(control, no_seeds or one_class)
        for control in (self.previous, self.next):
            allow(control, no_dispute)
        self.hint.say(no_seeds)
        for label in (self.class_name, self.brush, self.counts):
            label.setVisible(not no_seeds)

    def show_class(self, name: str, colour: str) -> None:
        """Say which class the brush paints."""
        self.class_name.setText(f"<span style='color:{colour}'>&#9632;</span> {name}")

    def show_brush(self, radius: float, unit: str, said: str) -> None:
        """Say how large the brush is."""
        with quiet(self.radius):
            self.radius.setSuffix(f" {unit}")
            self.radius.setValue(radius)
        self.brush.setText(said)

    def show_review(self, ticked: bool, said: str) -> None:
        """Show the tick of the slice on screen, and how far the review is."""
        with quiet(self.reviewed):
            self.reviewed.setChecked(ticked)
        self.counts.setText(said)

    def say_disputed(self, text: str) -> None:
        """Say how much is disputed where."""
        self.disputed.setText(text)
        self.disputed.setVisible(bool(text))
