"""The dock as a whole: tooltips, keys, what is greyed out, opening and closing."""

from __future__ import annotations

import numpy as np
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
)

from napari_cam.widgets.docks.cam.tooltips import TOOLTIPS
from napari_cam.widgets.docks.seeds.tooltips import KEYS, SEEDS_TOOLTIPS
from tests.widgets.docks.seeds.conftest import (
    add_heatmap,
    add_image,
    along_x,
    along_y,
    commit,
    ctrl_z,
    expected,
    rest,
    tick_both,
    touched,
    use_one_heatmap,
)

CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QLineEdit,
    QAbstractSpinBox,
    QAbstractSlider,
)


def test_every_control_has_its_tooltip_of_the_table(dock):
    assert not {*SEEDS_TOOLTIPS} & {*TOOLTIPS}, "one name, one tooltip"
    found = [
        widget
        for step in dock.steps
        for kind in CONTROLS
        for widget in step.content().findChildren(kind)
        if widget.parent() is step.content()
    ]
    assert len(found) > 40
    for widget in (*found, dock.image):
        assert str(SEEDS_TOOLTIPS[widget.objectName()]) in widget.toolTip()
    names = {widget.objectName() for widget in (*found, dock.image)}
    assert names == {*SEEDS_TOOLTIPS}, "no tooltip without its control"


def test_whatever_is_greyed_out_says_what_is_missing(make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    dock = open_dock(viewer)

    def disabled():
        return {
            widget.objectName(): widget.toolTip()
            for step in dock.steps
            for kind in CONTROLS
            for widget in step.content().findChildren(kind)
            if widget.objectName() in SEEDS_TOOLTIPS and not widget.isEnabledTo(dock)
        }

    nothing = disabled()
    assert {"make_ensemble", "commit", "export", "paint_seeds", "centred"} <= {*nothing}
    assert "File > Open" in nothing["commit"]
    image = add_image(viewer)
    add_heatmap(viewer, image, along_x)
    ready = disabled()
    assert not {"commit", "preview_seeds", "centred"} & {*ready}
    assert "at least two members" in ready["make_ensemble"]
    for said in (nothing, ready):
        for name, tip in said.items():
            reason = tip.removesuffix(str(SEEDS_TOOLTIPS[name])).strip()
            assert reason.endswith("."), (name, tip)


def test_keys_are_shown_and_no_others_are_taken(dock):
    from napari_cam.widgets.controls import shortcuts

    assert not {*KEYS.values()} & {*shortcuts.KEYS.values()}
    texts = " ".join(
        button.text()
        for step in dock.steps
        for button in step.content().findChildren(QAbstractButton)
    )
    for key in KEYS.values():
        assert f"({key})" in texts


def test_layers_come_and_go_while_things_are_worked_out(qtbot, viewer, dock):
    tick_both(dock)
    dock.ensemble_step.make.click()
    viewer.layers.remove("along y")
    rest(qtbot, dock)
    dock.seeds_step.commit.click()
    viewer.layers.remove("scan")
    rest(qtbot, dock)
    assert dock.state.picture is None
    assert "File > Open" in dock.seeds_step.commit.toolTip()
    image = add_image(viewer, "another")
    add_heatmap(viewer, image, along_y, name="new")
    use_one_heatmap(dock, "new")
    layer = commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, expected(along_y))


def test_closing_the_dock_ends_all_and_a_second_one_opens(qtbot, viewer, dock, open_dock):
    tick_both(dock)
    dock.ensemble_step.make.click()
    dock.seeds_step.commit.click()
    viewer.window.remove_dock_widget(dock)
    viewer.dims.set_point(0, 0.0)
    viewer.layers.remove("along x")
    second = open_dock(viewer)
    rest(qtbot, second)
    use_one_heatmap(second, "along y")
    np.testing.assert_array_equal(commit(qtbot, second).data, expected(along_y))


def test_two_docks_beside_each_other(qtbot, viewer, dock, open_dock):
    use_one_heatmap(dock)
    layer = commit(qtbot, dock)
    second = open_dock(viewer)
    assert second.state.seeds.layer is layer
    second.shortcuts.take()  # as when it is shown
    assert second.shortcuts._shortcuts[0].isEnabled()
    assert not dock.shortcuts._shortcuts[0].isEnabled()
    viewer.layers.selection.active = layer
    ctrl_z(viewer)
    assert not touched(dock).any()


def test_the_manifest_opens_the_dock(make_napari_viewer):
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-cam", "Seeds")
    assert [step.text().split()[-1] for step in dock.steps] == [
        "Ensemble",
        "Box",
        "Seeds",
        "review",
        "Export",
    ]
    assert dock.minimumSizeHint().height() < 700, "it scrolls"
    widest = max(step.content().minimumSizeHint().width() for step in dock.steps)
    assert widest + 20 <= dock.minimumWidth(), "nothing is cut off"
