"""The dock as a whole: tooltips, what is greyed out, where it opens, its theme."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
)

from napari_cam.widgets.docks.cam.tooltips import TOOLTIPS
from napari_cam.widgets.docks.reports.tooltips import REPORT_TOOLTIPS
from napari_cam.widgets.docks.seeds.tooltips import SEEDS_TOOLTIPS
from tests.widgets.docks.reports.conftest import (
    IN_P,
    IN_Q,
    WAIT,
    add_heatmap,
    choose,
    heatmap,
    make,
)

CONTROLS = (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QSpinBox, QPlainTextEdit)


def test_every_control_has_its_tooltip_of_the_table(qtbot, dock):
    make(qtbot, dock)  # pages that say nothing are not there
    assert not {*REPORT_TOOLTIPS} & ({*TOOLTIPS} | {*SEEDS_TOOLTIPS}), "one name, one tooltip"
    found = {
        widget.objectName(): widget
        for kind in CONTROLS
        for widget in dock.findChildren(kind)
        if widget.objectName() in REPORT_TOOLTIPS
    }
    assert {*found} == {*REPORT_TOOLTIPS}
    for name, widget in found.items():
        assert str(REPORT_TOOLTIPS[name]) in widget.toolTip()


def test_whatever_is_greyed_out_says_what_is_missing(make_napari_viewer, open_dock):
    from tests.widgets.docks.reports.conftest import add_image

    viewer = make_napari_viewer()
    dock = open_dock(viewer)
    run = dock.choose.run
    assert not run.isEnabled()
    assert "File > Open" in run.toolTip()
    assert "Make a report first" in dock.result.save.toolTip()
    image = add_image(viewer)
    assert "Make or open heatmaps" in run.toolTip()
    add_heatmap(viewer, image, heatmap(IN_P, 0.9, "gradcam"), "P")
    assert "Choose a reference" in run.toolTip()
    choose(dock.choose.kind, "agreement")
    assert "at least two maps" in run.toolTip()
    choose(dock.choose.kind, "faithfulness")
    assert "not open in the CAM dock" in run.toolTip()
    choose(dock.choose.kind, "agreement")
    add_heatmap(viewer, image, heatmap(IN_Q, 0.7, "layercam"), "Q")
    assert run.isEnabled()
    dock.choose.thresholds.setEditText("0.5, nonsense")
    assert "'nonsense' is no threshold rule" in run.toolTip()
    assert not run.isEnabled()


def test_the_manifest_opens_the_dock_at_the_bottom(qtbot, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    holder, dock = viewer.window.add_plugin_dock_widget("napari-cam", "CAM reports")
    window = holder.parent()
    bottom = Qt.DockWidgetArea.BottomDockWidgetArea
    assert isinstance(holder, QDockWidget)
    qtbot.waitUntil(lambda: window.dockWidgetArea(holder) == bottom, timeout=WAIT)
    assert dock.minimumSizeHint().height() < 500
    dock.resize(500, 900)
    qtbot.waitUntil(lambda: dock.splitter.orientation() is not None, timeout=WAIT)


def test_the_theme_reaches_the_charts(qtbot, viewer, dock):
    make(qtbot, dock)
    canvas = dock.result.matrix.canvas
    viewer.theme = "dark"
    dark = canvas.figure.get_facecolor()
    viewer.theme = "light"
    light = canvas.figure.get_facecolor()
    assert sum(dark[:3]) < 1 < sum(light[:3])
