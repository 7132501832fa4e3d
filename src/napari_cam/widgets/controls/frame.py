"""The frame of a dock: numbered steps that scroll, and the lines below that never scroll away."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QLayout, QScrollArea, QVBoxLayout, QWidget

from napari_cam.widgets.controls.parts import Step
from napari_cam.widgets.controls.tooltips import describe


def lay_out(
    dock: QWidget,
    contents: Mapping[str, QWidget],
    below: Sequence[QWidget],
    width: int,
    above: QLayout | None = None,
    closed: Collection[str] = (),
) -> tuple[list[Step], QScrollArea]:
    """Lay out a dock of steps.

    Parameters
    ----------
    dock
        The dock.
    contents
        Its steps by title, numbered from 1.
    below
        What stands below them and never scrolls away.
    width
        The least there is, in pixels.
    above
        What stands before the first step.
    closed
        Titles of the steps that are closed at first.

    Returns
    -------
    tuple
        The steps, and the area in which they scroll.
    """
    column = QWidget()
    inner = QVBoxLayout(column)
    inner.setContentsMargins(2, 2, 2, 2)
    if above is not None:
        inner.addLayout(above)
    steps = [
        Step(number, title, content, opened=title not in closed)
        for number, (title, content) in enumerate(contents.items(), 1)
    ]
    for step in steps:
        inner.addWidget(step)
    inner.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(column)
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area, 1)
    for widget in below:
        outer.addWidget(widget)
    dock.setMinimumWidth(width)
    return steps, area


class DeviceLine(QLabel):
    """Where the network runs; always visible."""

    def __init__(self) -> None:
        super().__init__("Runs on: not known yet")
        describe(self, "device")
        self.setWordWrap(True)

    def show_device(self, device: str) -> None:
        """Say where; a processor alone is slow, which is worth a warning and no error."""
        slow = device.startswith("CPU")
        advice = " — large volumes take minutes; a CUDA or Apple GPU is faster" if slow else ""
        self.setStyleSheet("color: #e0a030;" if slow else "")
        self.setText(f"Runs on: {device}{advice}")
