"""Where proposals may lie: centred, without a band, in labels, in drawn shapes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.widgets.docks.seeds.conftest import (
    SHAPE,
    X,
    Y,
    Z,
    add_heatmap,
    add_image,
    along_x,
    choose,
    commit,
    expected,
    rest,
    use_one_heatmap,
)


def test_a_centred_box_restricts_seeds(qtbot, dock):
    use_one_heatmap(dock)
    dock.box_step.centred.setChecked(True)
    dock.box_step.sizes[1].setValue(50)
    rest(qtbot, dock)
    assert dock.box_step.said.text() == "The box holds 50.0% of the image."
    layer = commit(qtbot, dock)
    inside = (Y >= 6) & (Y < 18)
    np.testing.assert_array_equal(layer.data, np.where(inside, expected(), 0))
    choose(dock.box_step.outside, "background")
    rest(qtbot, dock)
    commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, np.where(inside, expected(), 1))


def test_a_band_is_left_out_and_a_labels_layer_holds(qtbot, viewer, dock):
    use_one_heatmap(dock)
    labels = (X >= 10).astype(np.uint8)
    image = viewer.layers["scan"]
    viewer.add_labels(labels, name="organ", scale=image.scale, units=image.units)
    dock.box_step.labelled.setChecked(True)
    dock.box_step.band.setChecked(True)
    dock.box_step.band_width.setValue(2.0)  # mm: four voxels of 0.5 mm across a horizontal line
    dock.box_step.band_angle.setValue(0)
    rest(qtbot, dock)
    layer = commit(qtbot, dock)
    inside = (labels == 1) & ((Y < 10) | (Y >= 14))
    np.testing.assert_array_equal(layer.data, np.where(inside, expected(), 0))
    viewer.layers.remove("organ")
    rest(qtbot, dock)
    assert not dock.box_step.labelled.isChecked()
    commit(qtbot, dock)
    inside = (Y < 10) | (Y >= 14)
    np.testing.assert_array_equal(layer.data, np.where(inside, expected(), 0))


ROTATED = np.array([[1.0, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])


@pytest.mark.parametrize(
    "place",
    [
        {"scale": (3, 0.5, 0.75)},
        {"scale": (-3, 0.5, -0.75), "translate": (10, -20, 30)},
        {"scale": (3, 0.5, 0.75), "rotate": ROTATED},
    ],
    ids=["scaled", "flipped", "rotated"],
)
def test_a_drawn_shape_lies_where_it_is_drawn(qtbot, make_napari_viewer, open_dock, place):
    viewer = make_napari_viewer()
    image = add_image(viewer, **place)
    add_heatmap(viewer, image, along_x, name="along x")
    dock = open_dock(viewer)
    use_one_heatmap(dock)
    dock.box_step.draw.click()
    shapes = viewer.layers["box"]
    assert shapes.mode == "add_polygon"
    corners = np.array([(3, 2.5, 4.5), (3, 2.5, 12.5), (3, 9.5, 12.5), (3, 9.5, 4.5)])
    world = [image.data_to_world(corner) for corner in corners]
    shapes.add_polygons(np.array([shapes.world_to_data(point) for point in world]))
    rest(qtbot, dock)
    inside = (Y >= 3) & (Y <= 9) & (X >= 5) & (X <= 12)
    assert dock.state.box.inside is not None
    np.testing.assert_array_equal(dock.state.box.inside, inside)
    dock.box_step.all_slices.setChecked(False)
    rest(qtbot, dock)
    np.testing.assert_array_equal(dock.state.box.inside, inside & (Z == 3))
    layer = commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, np.where(inside & (Z == 3), expected(), 0))
    for corner in [(0, 0, 0), np.array(SHAPE) - 1]:
        np.testing.assert_allclose(
            layer.data_to_world(corner), image.data_to_world(corner), atol=1e-6
        )


def test_an_ellipse_and_a_layer_without_shapes(qtbot, dock, viewer):
    dock.box_step.draw.click()
    rest(qtbot, dock)
    assert "enclose nothing yet" in dock.box_step.hint.text()
    shapes = viewer.layers["box"]
    shapes.add_ellipses(np.array([(2, 4, 8), (2, 4, 24), (2, 16, 24), (2, 16, 8)]))
    rest(qtbot, dock)
    away = ((Y - 10) / 6) ** 2 + ((X - 16) / 8) ** 2
    inside = dock.state.box.inside
    assert inside[away < 0.95].all()
    assert not inside[away > 1.01].any()
    dock.box_step.drawn.setChecked(False)
    rest(qtbot, dock)
    assert dock.state.box.inside is None


def test_nothing_is_committed_while_the_box_is_not_there(qtbot, dock, viewer):
    use_one_heatmap(dock)
    dock.box_step.draw.click()
    rest(qtbot, dock)
    dock.seeds_step.commit.click()
    rest(qtbot, dock)
    assert "enclose nothing yet" in dock.problem.text()
    assert dock.state.seeds is None
    viewer.layers["box"].add_polygons(np.array([(2, 1.5, 3.5), (2, 1.5, 9.5), (2, 8.5, 9.5)]))
    dock.seeds_step.commit.click()
    assert "worked out" in dock.problem.text()
    rest(qtbot, dock)
    layer = commit(qtbot, dock)
    np.testing.assert_array_equal(layer.data, np.where(dock.state.box.inside, expected(), 0))
