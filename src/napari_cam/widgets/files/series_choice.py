"""A folder of DICOM files with several series: the person opening it chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cam.volumes.dicom.series import SeriesInfo


def choose_series(series: Sequence[SeriesInfo]) -> list[int] | None:
    """Return the numbers of the series to open, None where the choice was cancelled.

    Without a window there is nobody to ask: then it is the series with the most slices.

    Parameters
    ----------
    series
        What the folder holds; what cannot be read is listed with its reason, but not offered.
    """
    readable = [info for info in series if info.problem is None]
    if len(readable) < 2:
        return [info.number for info in readable]
    from qtpy.QtWidgets import QApplication

    if not isinstance(QApplication.instance(), QApplication):
        return [max(readable, key=lambda info: info.n_slices * info.n_volumes).number]
    return _ask(series)


def line_of(info: SeriesInfo) -> str:
    """Return a series as the list shows it, with the scanner's own description."""
    line = f"{info.number}: {info.description or 'no description'} ({info.summary})"
    return f"{line}: {info.problem}" if info.problem else line


def _ask(series: Sequence[SeriesInfo]) -> list[int] | None:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import (
        QAbstractItemView,
        QDialog,
        QDialogButtonBox,
        QLabel,
        QListWidget,
        QListWidgetItem,
        QVBoxLayout,
    )

    dialog = QDialog()
    dialog.setWindowTitle("Series of this folder")
    dialog.setMinimumWidth(560)
    choices = QListWidget()
    choices.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    for info in series:
        item = QListWidgetItem(line_of(info))
        item.setToolTip(info.problem or info.summary)
        if info.problem is not None:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
        choices.addItem(item)
        if info.problem is None and not choices.selectedItems():
            item.setSelected(True)
    buttons = QDialogButtonBox(
        QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel
    )
    buttons.accepted.connect(dialog.accept)
    buttons.rejected.connect(dialog.reject)
    choices.itemDoubleClicked.connect(dialog.accept)
    layout = QVBoxLayout(dialog)
    layout.addWidget(QLabel("Which series shall be opened? Each becomes a layer."))
    layout.addWidget(choices)
    layout.addWidget(buttons)
    if dialog.exec() != QDialog.DialogCode.Accepted:
        return None
    rows = sorted(choices.row(item) for item in choices.selectedItems())
    return [series[row].number for row in rows]
