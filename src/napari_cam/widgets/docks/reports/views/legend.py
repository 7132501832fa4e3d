"""One line that says what the viewer shows of a report, with its colours."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

Colours = Sequence[tuple[int, str, str]]
_SIDE = 12
_HELP = "Click a row, a cell or a point to see its masks in the viewer."


class Legend(QWidget):
    """A sentence and swatches."""

    def __init__(self) -> None:
        super().__init__()
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._colours: Colours = ()
        self._swatches: list[QWidget] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addWidget(self.text, 1)
        self.say("", ())

    def say(self, text: str, colours: Colours) -> None:
        """Say what is shown; where `text` is empty, how to see something."""
        self.text.setText(text or _HELP)
        if tuple(colours) != tuple(self._colours):
            self._colours = tuple(colours)
            self._swatch()

    def _swatch(self) -> None:
        for widget in self._swatches:
            self._row.removeWidget(widget)
            widget.deleteLater()
        self._swatches = []
        for _, name, colour in self._colours:
            square = QLabel()
            square.setFixedSize(_SIDE, _SIDE)
            square.setStyleSheet(f"background: {colour}; border: 1px solid #808890;")
            for widget in (square, QLabel(name)):
                self._row.addWidget(widget)
                self._swatches.append(widget)
