"""Keys of the dock: shown on its buttons, and active while its window is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import WeakSet

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractButton, QShortcut, QWidget  # type: ignore[attr-defined]

KEYS: Mapping[str, str] = {
    "preview": "F5",
    "run": "F6",
    "previous": "F7",
    "next": "F8",
    "cancel": "F9",
}
"""Action -> key. Function keys, as napari and its menus leave them free."""

_LIVING: WeakSet[Shortcuts] = WeakSet()


class Shortcuts:
    """The keys of one dock, each of which clicks its button.

    With two docks of a kind in one window every key would be ambiguous, so that the one used last
    has them.

    Parameters
    ----------
    dock
        Whose window hears the keys.
    buttons
        Action -> what its key clicks.
    keys
        Action -> key.
    """

    def __init__(
        self,
        dock: QWidget,
        buttons: Mapping[str, QAbstractButton],
        keys: Mapping[str, str] = KEYS,
    ) -> None:
        self._dock = dock
        self._keys = keys
        self._shortcuts = [_shortcut(dock, key, buttons[name]) for name, key in keys.items()]
        _LIVING.add(self)

    def take(self) -> None:
        """Take the keys from the other docks of this kind in this window."""
        window = self._dock.window()
        for other in list(_LIVING):
            alike = other._keys is self._keys  # noqa: SLF001
            if other is self or (alike and other._dock.window() is window):  # noqa: SLF001
                other._enable(other is self)  # noqa: SLF001

    def end(self) -> None:
        """Have no keys any more."""
        _LIVING.discard(self)

    def _enable(self, on: bool) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(on)


def _shortcut(dock: QWidget, key: str, target: QAbstractButton) -> QShortcut:
    shortcut = QShortcut(QKeySequence(key), dock)
    shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
    shortcut.activated.connect(_clicker(target))
    return shortcut


def _clicker(target: QAbstractButton) -> Callable[[], None]:
    def click() -> None:
        target.click()  # nothing happens where it is disabled

    return click
