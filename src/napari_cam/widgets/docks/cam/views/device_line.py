"""The line at the foot of the dock that says where the network runs."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel

from napari_cam.widgets.controls.tooltips import describe


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
