"""Ensembles follow their controls, and maps of consensus."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_cam.widgets.docks.seeds.work import ensembling
from tests.widgets.docks.seeds.conftest import (
    WAIT,
    add_heatmap,
    along_x,
    along_y,
    choose,
    rest,
    tick_both,
)

IN_X, IN_Y = along_x > np.float32(0.5), along_y > np.float32(0.5)


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("or", IN_X | IN_Y),
        ("and", IN_X & IN_Y),
        ("majority", IN_X & IN_Y),  # more than half of two
        ("smallest", IN_X),  # half of each slice both, so that the first wins
        ("largest", IN_X),
    ],
)
def test_an_ensemble_is_what_its_operator_says_and_follows(qtbot, viewer, dock, operator, wanted):
    tick_both(dock)
    choose(dock.ensemble_step.operator, operator)
    dock.ensemble_step.make.click()
    rest(qtbot, dock)
    layer = viewer.layers["ensemble"]
    np.testing.assert_array_equal(layer.data == 1, wanted)
    np.testing.assert_allclose(layer.scale, viewer.layers["scan"].scale)
    dock.ensemble_step.rule.cut.setValue(0.75)
    higher = {"or": (along_x > 0.75) | (along_y > 0.75), "and": (along_x > 0.75) & (along_y > 0.75)}
    if operator in higher:
        np.testing.assert_array_equal(layer.data[2] == 1, higher[operator][2])  # at once
        np.testing.assert_array_equal(layer.data[0] == 1, wanted[0])
        rest(qtbot, dock)
        np.testing.assert_array_equal(layer.data == 1, higher[operator])
    made = layer.metadata["napari_cam"]
    assert made["ensemble"]["operator"] == operator
    assert [each["name"] for each in made["members"]] == [
        "gradcam / layer4 / lesion",
        "gradcam / layer4 / lesion (2)",
    ]
    json.dumps(made)


def test_a_mean_is_a_heatmap_and_consensus_two(qtbot, viewer, dock):
    tick_both(dock)
    choose(dock.ensemble_step.operator, "mean")
    dock.ensemble_step.make.click()
    rest(qtbot, dock)
    np.testing.assert_allclose(
        viewer.layers["mean heatmap"].data, (along_x + along_y) / 2, atol=1e-6
    )
    dock.ensemble_step.consensus.click()
    rest(qtbot, dock)
    share = (IN_X.astype(float) + IN_Y) / 2
    np.testing.assert_allclose(viewer.layers["consensus: share of members"].data, share)
    np.testing.assert_allclose(viewer.layers["consensus: spread"].data, 4 * share * (1 - share))
    agree = (IN_X == IN_Y).mean()
    assert f"agree on {agree:.1%}" in dock.ensemble_step.said.text()


def test_whoever_paints_into_an_ensemble_takes_it_over(qtbot, viewer, dock):
    tick_both(dock)
    dock.ensemble_step.make.click()
    rest(qtbot, dock)
    layer = viewer.layers["ensemble"]
    layer.data_setitem(tuple(np.array([[2], [0], [0]])), 1)
    painted = layer.data.copy()
    dock.ensemble_step.rule.cut.setValue(0.9)
    rest(qtbot, dock)
    np.testing.assert_array_equal(layer.data, painted)
    names = [each.name for each in dock.ensemble_step.members.layers]
    assert "ensemble" in names, "it is a mask like any other now"


def test_staple_of_three(qtbot, viewer, dock):
    image = viewer.layers["scan"]
    add_heatmap(viewer, image, along_x, name="along x again")
    tick_both(dock)
    choose(dock.ensemble_step.operator, "staple")
    dock.ensemble_step.make.click()
    rest(qtbot, dock)
    # Two of three members are the same, and STAPLE believes them.
    np.testing.assert_array_equal(viewer.layers["ensemble"].data == 1, IN_X)


def test_an_error_of_an_ensemble_is_told(qtbot, dock, monkeypatch, told):
    def failing(_request):
        raise RuntimeError("odd")
        yield

    monkeypatch.setattr("napari_cam.widgets.docks.seeds.control.ensembler.make_ensemble", failing)
    tick_both(dock)
    dock.ensemble_step.make.click()
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT)
    assert "RuntimeError: odd" in dock.problem.text()
    assert ensembling.MEAN == "mean"
