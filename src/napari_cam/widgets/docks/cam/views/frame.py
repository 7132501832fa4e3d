"""The frame of a dock: numbered steps that scroll, and the lines below that never scroll away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_cam.widgets.controls.parts import Step

_MIN_WIDTH = 330


def lay_out(
    dock: QWidget, contents: Mapping[str, QWidget], below: Sequence[QWidget]
) -> tuple[list[Step], QScrollArea]:
    """Lay out a dock: its steps by title, numbered from 1, and what stands below them.

    Returns
    -------
    tuple
        The steps, and the area in which they scroll.
    """
    column = QWidget()
    inner = QVBoxLayout(column)
    inner.setContentsMargins(2, 2, 2, 2)
    steps = [
        Step(number, title, content) for number, (title, content) in enumerate(contents.items(), 1)
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
    dock.setMinimumWidth(_MIN_WIDTH)
    return steps, area
