"""Small widgets that the steps are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible, QLabeledDoubleSlider

from napari_cam.files import suffixes
from napari_cam.widgets.controls.tooltips import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FLAT = "text-align: left; border: none; outline: none; background: transparent;"
_LEAST, _MOST = 6, 12  # rows of a list that are seen at once
_UNLIMITED = 16777215  # Qt's own largest height


class Fold(QCollapsible):
    """A part that opens and closes, and grows with what is in it."""

    def __init__(self, title: str, content: QWidget, opened: bool) -> None:
        super().__init__(title)
        self.toggleButton().setStyleSheet(f"QPushButton {{ {_FLAT} }}")
        self.setDuration(0)
        self.setContent(content)
        layout = self.layout()
        if layout is not None:
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(2)
        self.toggled.connect(self._free)
        if opened:
            self.expand(animate=False)
        else:
            self.collapse(animate=False)

    def _free(self, opened: bool) -> None:
        # Its own height is fixed when it opens; rows that appear later would be cut off.
        self.content().setMaximumHeight(_UNLIMITED if opened else 0)


class Step(Fold):
    """A numbered step."""

    def __init__(self, number: int, title: str, content: QWidget, opened: bool = True) -> None:
        super().__init__(f"{number}   {title}", content, opened)
        self.toggleButton().setStyleSheet(
            f"QPushButton {{ {_FLAT} font-weight: bold;"
            " border-top: 1px solid #6a7380; padding-top: 5px; }"
        )
        self.toggleButton().setToolTip("Open or close this step.")
        self.toggleButton().setObjectName(f"step_{number}")


class Hint(QLabel):
    """A sentence that appears where something is missing or to be known."""

    def __init__(self, colour: str = "#e0a030") -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setStyleSheet(f"color: {colour};")
        self.setTextFormat(Qt.TextFormat.PlainText)  # names of layers may hold anything
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setVisible(False)

    def say(self, text: str) -> None:
        """Show `text`, or nothing where it is empty."""
        self.setText(text)
        self.setVisible(bool(text))


def column(parent: QWidget) -> QVBoxLayout:
    """Return a tight vertical layout for `parent`."""
    layout = QVBoxLayout(parent)
    layout.setContentsMargins(8, 2, 4, 6)
    layout.setSpacing(5)
    return layout


def form() -> QFormLayout:
    """Return a layout of labelled rows."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(5)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return layout


def combo(name: str, entries: Sequence[tuple[str, Any]] = ()) -> QComboBox:
    """Return a drop-down list that never forces the dock wide."""
    box = QComboBox()
    describe(box, name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    for text, value in entries:
        box.addItem(text, value)
    return box


def refill(box: QComboBox, entries: Sequence[tuple[str, Any]], chosen: int = 0) -> None:
    """Replace the entries of a list without telling anyone."""
    with quiet(box):
        box.clear()
        for text, value in entries:
            box.addItem(text, value)
        if entries:
            box.setCurrentIndex(chosen)


def slider(name: str, value: float) -> QLabeledDoubleSlider:
    """Return a slider from 0 to 1."""
    made = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    describe(made, name)
    made.setRange(0.0, 1.0)
    made.setDecimals(3)
    made.setValue(value)
    return made


def fit_rows(view: QAbstractItemView, count: int, height: int, more: int = 0) -> None:
    """Make a list as high as its rows, within reason; it scrolls where there are more."""
    view.setFixedHeight(min(max(count, _LEAST), _MOST) * height + more + 8)


def tick(name: str, text: str) -> QCheckBox:
    """Return a box to tick."""
    box = QCheckBox(text)
    describe(box, name)
    return box


def button(name: str, text: str, on_click: Callable[[], object]) -> QPushButton:
    """Return a button."""
    result = QPushButton(text)
    describe(result, name)
    result.clicked.connect(lambda _checked=False: on_click())
    return result


def ask_where(
    parent: QWidget, title: str, name: str, kinds: Mapping[str, str], endings: Sequence[str]
) -> tuple[Path, bool] | None:
    """Ask where to write a file; None where the user thinks better of it.

    Parameters
    ----------
    parent, title
        Of the dialog.
    name
        What is proposed.
    kinds
        What the dialog offers, and the ending that a name without one gets there.
    endings
        All that a name may have.

    Returns
    -------
    tuple
        The path, and whether the user agreed to replace what is there.
    """
    text, kind = QFileDialog.getSaveFileName(parent, title, name, ";;".join(kinds))
    if not text:
        return None
    path = Path(text)
    if suffixes(path) in endings or path.name.endswith(tuple(endings)):
        return path, path.exists()  # the dialog has asked
    return path.with_name(path.name + kinds.get(kind, next(iter(kinds.values())))), False


def allow(widget: QWidget, missing: str) -> None:
    """Enable `widget`, or disable it with a tooltip that says what is missing."""
    widget.setEnabled(not missing)
    describe(widget, widget.objectName(), missing)


@contextmanager
def quiet(*widgets: QWidget) -> Iterator[None]:
    """Change widgets without their signals."""
    blockers = [QSignalBlocker(widget) for widget in widgets]
    try:
        yield
    finally:
        for blocker in blockers:
            blocker.unblock()
