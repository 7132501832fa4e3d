"""Heatmaps normalised anew: by hand, and as explain itself normalises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_cam as nc
from napari_cam.errors import MaskError
from napari_cam.normalize import renormalized
from tests.masks.maps import heatmap

pytestmark = pytest.mark.quick


def test_slices_come_back_to_one_scale() -> None:
    # In their own scale the slices run from 0 to 2, from 1 to 5, and one without evidence.
    made = heatmap(
        [[[0, 0.5, 1]], [[0, 0.5, 1]], [[0, 0, 0]]],
        raw_min=[0, 1, -9],
        raw_max=[2, 5, 90],
        valid=[True, True, False],
    )
    again = renormalized(made, "volume")
    assert again.values.tolist() == [
        [[0, pytest.approx(0.2), pytest.approx(0.4)]],
        [[pytest.approx(0.2), pytest.approx(0.6), 1]],
        [[0, 0, 0]],
    ]
    assert again.raw_min.tolist() == [0, 0, 0]
    assert again.raw_max.tolist() == [5, 5, 5]
    assert renormalized(again, "volume") is again
    assert renormalized(made, "none") is made
    back = renormalized(again, "unit")
    assert np.allclose(back.values, made.values, atol=1e-6)
    assert back.raw_max[:2].tolist() == [2, 5]


def test_a_raw_heatmap_is_scaled_too() -> None:
    made = heatmap([[[0, 2, 4]], [[0, 1, 8]]], kind="raw", raw_max=[4, 8])
    assert renormalized(made).values.tolist() == [[[0, 0.25, 0.5]], [[0, 0.125, 1]]]
    assert renormalized(made).kind == "unit"
    assert renormalized(made, "unit").values.tolist() == [[[0, 0.5, 1]], [[0, 0.125, 1]]]


def test_what_was_not_seen_stays_zero() -> None:
    made = heatmap([[[0, 1]]], raw_min=[1], raw_max=[2], inside=[[[False, True]]])
    assert renormalized(made).values.tolist() == [[[0, 1]]]


@pytest.mark.parametrize("scale", ["minmax", "max"])
@pytest.mark.parametrize("relu", ["sum", "none"])
def test_as_explain_normalises(scale: str, relu: str) -> None:
    model, volume = nc.load_sample_model(), nc.load_sample_volume()
    method = replace(nc.METHODS["hirescam"], relu=relu)

    def made(normalize: str) -> nc.Heatmap:
        options = {"normalize": normalize, "scale": scale, "units": range(6, 11)}
        return nc.explain_one(model, volume, method, "damaged", **options)

    for wanted in ("volume", "unit"):
        expected = made(wanted)
        for given in ("none", "unit", "volume"):
            if relu == "none" and scale == "max" and given != "none":
                continue  # what lay below zero was clipped
            found = renormalized(made(given), wanted)
            assert np.allclose(found.values, expected.values, atol=2e-6)
            shown = expected.valid
            assert shown.sum() > 3
            assert np.allclose(found.raw_max[shown], expected.raw_max[shown], rtol=1e-5)


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(MaskError, match="volume, unit, none, not 'cohort'"):
        renormalized(heatmap([[[1]]]), "cohort")
