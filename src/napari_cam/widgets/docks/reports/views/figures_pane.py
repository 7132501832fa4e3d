"""The figures of a report as they are saved, one at a time."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_cam.widgets.controls.parts import combo, refill


class FiguresPane(QWidget):
    """A list of figures, and the one that is chosen; drawn when it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.what = combo("figure_what")
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self.caption.setTextFormat(Qt.TextFormat.PlainText)
        self.area = QScrollArea()
        self.area.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._figures: tuple[Any, ...] = ()
        self._drawn: Any = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.what, 2)
        row.addWidget(self.caption, 3)
        layout.addLayout(row)
        layout.addWidget(self.area, 1)
        self.what.currentIndexChanged.connect(lambda _index: self._draw())

    def show_figures(self, figures: tuple[Any, ...]) -> None:
        """List other figures."""
        self._figures = figures
        refill(self.what, [(each.title, None) for each in figures])
        self._drawn = None
        self._draw()

    def showEvent(self, a0: Any) -> None:  # noqa: N802
        """Draw what is chosen."""
        super().showEvent(a0)
        self._draw()

    def _draw(self) -> None:
        place = self.what.currentIndex()
        if not self.isVisible() or not 0 <= place < len(self._figures):
            return
        figure = self._figures[place]
        if figure is self._drawn:
            return
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

        canvas = FigureCanvasQTAgg(figure.draw())  # type: ignore[no-untyped-call]
        width, height = (round(100 * inches) for inches in canvas.figure.get_size_inches())
        canvas.setFixedSize(width, height)
        self.area.setWidget(canvas)
        self.caption.setText(figure.caption)
        self._drawn = figure
