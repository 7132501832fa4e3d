"""Letters at the canvas edges, against where a mark in the patient is drawn."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cam.grid import Grid
from napari_cam.volumes.volume import Volume
from napari_cam.widgets.layers.image_layers import volume_to_layer
from napari_cam.widgets.layers.orientation_letters import letters_2d, letters_3d, upright
from napari_cam.widgets.layers.patient_view import (
    PLANES,
    PatientView,
    patient_view,
    show_plane,
    toggle_letters,
)

SPL = np.array([[0, 0, -1, 30], [0, -1, 0, 20], [2, 0, 0, -10], [0, 0, 0, 1]], float)
WITHOUT = {"left": "", "right": "", "top": "", "bottom": ""}


def marked(codes: str = "SPL", towards: str = "SPL") -> Volume:
    """A volume whose axes grow along `codes`, bright in the corner that lies `towards`."""
    affine = SPL.copy()
    corner = []
    for axis, (letter, end) in enumerate(zip(codes, towards, strict=True)):
        if letter not in "SPL":
            affine[:3, 3] += affine[:3, axis] * 9
            affine[:3, axis] *= -1
        corner.append(slice(7, 10) if letter == end else slice(0, 3))
    values = np.zeros((10, 10, 10), np.uint8)
    values[tuple(corner)] = 255
    return Volume(values, Grid((10, 10, 10), affine, codes))


def add(viewer, volume, name="scan"):
    data, attributes, _ = volume_to_layer(volume, name)
    return viewer.add_image(data, **attributes)


# As every atlas has them, seen by somebody who faces the patient (axial: from the feet).
@pytest.mark.parametrize(
    ("plane", "letters"),
    [
        ("axial", {"left": "R", "right": "L", "top": "A", "bottom": "P"}),
        ("coronal", {"left": "R", "right": "L", "top": "S", "bottom": "I"}),
        ("sagittal", {"left": "A", "right": "P", "top": "S", "bottom": "I"}),
    ],
)
def test_each_plane_is_shown_as_radiologists_know_it(plane, letters):
    viewer = ViewerModel()
    add(viewer, marked())
    view = PatientView(viewer)
    show_plane(viewer, plane)
    assert view.letters == letters


@pytest.mark.parametrize("rows", ["down", "up"])
@pytest.mark.parametrize("columns", ["right", "left"])
def test_letters_follow_every_flip(rows, columns):
    letters = letters_2d(("P", "L"), ("away", rows, columns))
    assert letters["bottom" if rows == "down" else "top"] == "P"
    assert letters["top" if rows == "down" else "bottom"] == "A"
    assert letters["right" if columns == "right" else "left"] == "L"
    assert letters["left" if columns == "right" else "right"] == "R"


def test_letters_of_3d_are_those_of_2d_until_the_camera_turns():
    for axes in permutations("SPL"):
        for orientation in product(("away", "towards"), ("up", "down"), ("left", "right")):
            view = (-1.0 if orientation[0] == "towards" else 1.0, 0.0, 0.0)
            up = (0.0, -1.0 if orientation[1] == "down" else 1.0, 0.0)
            found = letters_3d(axes, orientation, view, up)
            assert found == letters_2d(axes[1:], orientation)


def test_a_turned_camera_names_two_directions():
    viewer = ViewerModel(ndisplay=3)
    add(viewer, marked())
    view = PatientView(viewer)
    # From the patient's front and left, head up.
    viewer.scene.camera.set_view_direction((0, 1, -1), (1, 0, 0))
    assert view.letters["top"] == "S"
    assert view.letters["bottom"] == "I"
    # Somebody before the patient has the patient's left at the right; further left, also its back.
    assert set(view.letters["right"]) == {"L", "P"}
    assert set(view.letters["left"]) == {"R", "A"}


@pytest.mark.parametrize("axes", list(permutations("SPL")))
def test_left_and_right_are_never_mirrored(axes):
    # The three axes must be as right- or left-handed on the screen as they are in the patient.
    depth, vertical, horizontal = upright(axes)
    screen = {"right": (1, 0, 0), "left": (-1, 0, 0), "up": (0, 1, 0), "down": (0, -1, 0),
              "towards": (0, 0, 1), "away": (0, 0, -1)}  # fmt: skip
    patient = {"S": (0, 0, 1), "P": (0, -1, 0), "L": (-1, 0, 0)}  # (R, A, S) is right-handed
    on_screen = np.cross(screen[depth], screen[vertical]) @ screen[horizontal]
    in_patient = np.cross(patient[axes[0]], patient[axes[1]]) @ patient[axes[2]]
    assert on_screen == in_patient


def test_letters_are_for_patients_alone_and_come_and_go_with_them():
    viewer = ViewerModel()
    view = PatientView(viewer)
    before = viewer.scene.camera.orientation
    viewer.add_image(np.zeros((3, 4, 5)))
    assert view.letters == WITHOUT
    layer = add(viewer, marked())
    assert view.letters["top"] == "A"
    viewer.layers.remove(layer)
    assert view.letters == WITHOUT
    assert viewer.scene.camera.orientation == before


@pytest.mark.parametrize(("axis", "top", "right"), [(0, "A", "L"), (1, "S", "L"), (2, "S", "P")])
def test_the_first_image_is_shown_slice_by_slice_as_acquired(axis, top, right):
    viewer = ViewerModel()
    view = PatientView(viewer)
    add(viewer, replace(marked(), stack_axis=axis))
    assert viewer.dims.order[0] == axis
    assert (view.letters["top"], view.letters["right"]) == (top, right)
    order = viewer.dims.order
    add(viewer, replace(marked(), stack_axis=(axis + 1) % 3), "another")
    assert viewer.dims.order == order


def test_time_has_no_letters():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((2, 3, 4, 5)), axis_labels=("t", "S", "P", "L"))
    view = PatientView(viewer)
    assert view.letters["right"] == "L"
    viewer.dims.order = (1, 2, 0, 3)
    assert view.letters == {"left": "R", "right": "L", "top": "", "bottom": ""}


def test_a_flip_by_the_user_stays_until_the_plane_changes():
    viewer = ViewerModel()
    add(viewer, marked())
    view = PatientView(viewer)
    viewer.scene.camera.orientation2d = ("down", "left")
    assert view.letters["right"] == "R"
    add(viewer, marked("IAR"), "other")
    viewer.dims.set_point(0, 3.0)
    assert view.letters["right"] in ("L", "R")
    show_plane(viewer, "coronal")
    assert view.letters["right"] == "L"


def test_closing_leaves_nothing_behind():
    viewer = ViewerModel()
    overlays, orientation = set(viewer.canvas.overlays), viewer.scene.camera.orientation
    callbacks = len(viewer.dims.events.order.callbacks)
    add(viewer, marked())
    view = patient_view(viewer)
    assert patient_view(viewer) is view
    show_plane(viewer, "sagittal")
    view.close()
    assert set(viewer.canvas.overlays) == overlays
    assert viewer.scene.camera.orientation == orientation
    assert len(viewer.dims.events.order.callbacks) == callbacks
    show_plane(viewer, "coronal")
    assert viewer.scene.camera.orientation == orientation
    assert patient_view(viewer) is not view


def test_letters_do_not_keep_a_viewer_alive():
    viewer = ViewerModel()
    add(viewer, marked())
    patient_view(viewer)
    alive = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert alive() is None


def test_letters_can_be_hidden():
    viewer = ViewerModel()
    add(viewer, marked())
    toggle_letters(viewer)
    assert patient_view(viewer).letters["top"] == "A"
    toggle_letters(viewer)
    assert patient_view(viewer).letters == WITHOUT
    toggle_letters(viewer)
    assert patient_view(viewer).letters["top"] == "A"


def brightest(shot: np.ndarray) -> tuple[str, str]:
    """Where the centre of what is bright lies: (top or bottom, left or right)."""
    rows, columns = np.nonzero(shot[..., :3].sum(axis=2) > 300)
    assert len(rows) > 50
    height, width = shot.shape[:2]
    return (
        "top" if rows.mean() < height / 2 else "bottom",
        "left" if columns.mean() < width / 2 else "right",
    )


@pytest.mark.gl
@pytest.mark.parametrize("codes", ["SPL", "IAR"])
def test_a_mark_is_drawn_where_the_letters_say(make_napari_viewer, codes):
    viewer = make_napari_viewer(show=True)
    # The mark is at the head, the front, and the patient's left.
    mark = "".join({"S": "S", "I": "S", "P": "A", "A": "A", "L": "L", "R": "L"}[c] for c in codes)
    layer = add(viewer, marked(codes, mark))
    layer.contrast_limits = (0, 255)
    view = patient_view(viewer)
    assert layer.data_to_world(np.argwhere(layer.data == 255).mean(axis=0)) == pytest.approx(
        (6.0, -19.0, -22.0)
    )
    view.visible = False  # letters are bright too
    for plane in PLANES:
        show_plane(viewer, plane)
        viewer.dims.set_point(0, 6.0)
        viewer.dims.set_point(1, -19.0)
        viewer.dims.set_point(2, -22.0)
        viewer.reset_view()
        vertical, horizontal = brightest(viewer.screenshot(canvas_only=True, flash=False))
        view.visible = True
        letters = view.letters
        view.visible = False
        assert letters[vertical] in "SAL", plane
        assert letters[horizontal] in "SAL", plane


@pytest.mark.gl
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_3d_is_not_mirrored(make_napari_viewer, plane):
    viewer = make_napari_viewer(show=True)
    layer = add(viewer, marked("SPL", "SAL"))
    layer.contrast_limits = (0, 255)
    view = patient_view(viewer)
    viewer.dims.order = PLANES[plane]
    viewer.dims.ndisplay = 3
    viewer.scene.camera.angles = (5, 8, 0)
    letters = view.letters
    view.visible = False
    viewer.reset_view(reset_camera_angle=False)
    vertical, horizontal = brightest(viewer.screenshot(canvas_only=True, flash=False))
    assert letters[vertical][0] in "SAL"
    assert letters[horizontal][0] in "SAL"


@pytest.mark.gl
def test_the_letters_are_drawn_and_erased(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    layer = add(viewer, marked())
    layer.visible = False
    view = patient_view(viewer)
    lettered = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    edges = {"left": lettered[:, :60], "right": lettered[:, -60:],
             "top": lettered[:60], "bottom": lettered[-60:]}  # fmt: skip
    for edge, strip in edges.items():
        assert len(np.unique(strip.reshape(-1, 3), axis=0)) > 2, edge
    view.close()
    bare = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    assert len(np.unique(bare.reshape(-1, 3), axis=0)) == 1


def test_the_proxy_that_plugins_get_is_enough(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    add(viewer, marked())
    view = patient_view(viewer)
    assert patient_view(viewer) is view
    show_plane(viewer, "coronal")
    assert view.letters["top"] == "S"
    toggle_letters(viewer)
    assert view.letters == WITHOUT
