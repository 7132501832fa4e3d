"""Boxes to tick."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox

from napari_cam.widgets.controls.tooltips import describe


def tick(name: str, text: str) -> QCheckBox:
    """Return a box to tick, with its tooltip of the table."""
    box = QCheckBox(text)
    describe(box, name)
    return box
