"""Networks that learned the right thing, a shortcut, or nothing: what the report makes of each."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_cam as nc
from napari_cam.errors import ReportError
from napari_cam.reports.faithfulness.curves import CurveSettings
from napari_cam.sample.cohort import TEST
from tests.reports.faithfulness.linear import Weighted, model_of
from tests.reports.faithfulness.shortcuts import small_cohort, trained

QUICK = {
    "curves": CurveSettings(steps=10, removed=(0.1, 0.3)),
    "stages": 2,
    "random_networks": 1,
    "resamples": 500,
    "device": "cpu",
}


def judged(model, phantoms, **more):
    """Return the report on Grad-CAM for "damaged" of several phantoms."""
    by = {f"phantom {one.seed}": one for one in phantoms}
    volumes = {name: one.volume for name, one in by.items()}
    maps = {
        name: nc.explain(model, each, ["gradcam"], ["damaged"]) for name, each in volumes.items()
    }
    return nc.faithfulness_report(
        *(model, volumes, maps),
        foreground={name: one.tissue for name, one in by.items()},
        reference={name: one.damage > 0.5 for name, one in by.items()},
        most_units=2,
        **QUICK,
        **more,
    )


def outcomes(report):
    (checks,) = report.checks.values()
    return {check.name: check.passed for check in checks}


@pytest.fixture(scope="module")
def shortcut_cohorts():
    return [small_cohort(first, n, corner=True) for first, n in ((0, 20), (500, 8), (900, 4))]


def damaged(cohort):
    return [one for one in cohort.phantoms if one.seed % 4 != 3]


def test_a_good_network_passes_and_is_ahead_of_random_weights(tmp_path):
    report = judged(nc.load_sample_model(), list(TEST.phantoms(3)))
    assert set(outcomes(report).values()) == {True}
    assert report.verdict.startswith("All 10 checks of the map passed")
    own = report.select(level="cohort", metric="energy_reference")["value"].item()
    random = report.select(level="cohort", metric="energy_reference_random")["value"].item()
    assert own > 0.4 > 2 * random
    assert report.notes[0] == "The network was trained on 0 of the 3 subjects explained here."
    page = report.save(tmp_path / "report")
    assert page.stat().st_size < 2_000_000
    facts = json.loads((tmp_path / "report" / "report.json").read_text())
    assert facts["kind"] == "faithfulness"


def test_a_faithful_map_of_a_shortcut_is_caught_by_where_it_lies_alone(shortcut_cohorts):
    training, validation, test = shortcut_cohorts
    model = trained(training, validation, epochs=14)
    report = judged(model, damaged(test))
    found = outcomes(report)
    assert found["held-out accuracy"] is True  # the corner is in the held-out images too
    for name in ("deletion", "insertion", "ROAD"):
        assert found[f"{name} beats floors"] is True
    assert found["randomisation"] is True
    for name in ("energy in foreground", "energy in reference", "ahead of random weights"):
        assert found[name] is False
    assert "passes every check of faithfulness" in report.verdict
    assert "shortcut" in report.verdict


def test_a_network_of_shuffled_labels_is_not_to_be_believed():
    training, validation, test = (
        small_cohort(first, n, corner=False) for first, n in ((0, 20), (500, 8), (900, 4))
    )
    model = trained(training, validation, epochs=5, shuffle=True)
    report = judged(model, damaged(test)[:2], control=model)
    found = outcomes(report)
    assert found["held-out accuracy"] is False
    # Given as its own control, it is like a network of random labels.
    assert found["label-randomised control"] is False
    assert "the network itself fails: held-out accuracy" in report.verdict


def test_subjects_it_was_trained_on_are_counted():
    cohort = small_cohort(0, 3, corner=False)
    model = trained(cohort, cohort, epochs=1)
    report = judged(model, [*cohort.phantoms[:2], *small_cohort(901, 1, corner=False).phantoms])
    assert report.notes[0] == "The network was trained on 2 of the 3 subjects explained here."


def test_a_volume_is_judged_as_a_whole():
    rng = np.random.default_rng(0)
    image = rng.random((8, 10, 12)).astype(np.float32)
    weights = np.zeros((8, 10, 12))
    weights[:3, :4, :4] = 0.1
    image[weights > 0] += 1  # what it sums up is large
    image[4:, 5:, 4:] += 3  # brighter still, and of no weight
    model = model_of(Weighted(weights), 3)
    report = nc.faithfulness_report(
        model,
        image,
        nc.explain_one(model, image, "saliency", "yes"),
        reference=weights > 0,
        accuracy=(9, 10),
        score="logit",
        **QUICK | {"curves": CurveSettings(steps=10, removed=(0.1, 0.3), fill="zero")},
    )
    found = outcomes(report)
    assert found["deletion beats floors"] is True
    assert found["energy in reference"] is True
    assert found["energy in foreground"] is None
    (checks,) = report.checks.values()
    assert "(no interval)" in next(c for c in checks if c.name == "energy in reference").threshold
    assert report.select(metric="energy_reference", level="unit")["value"].item() == pytest.approx(
        1
    )


def test_what_does_not_go_together_is_refused():
    model = nc.load_sample_model()
    volume = nc.load_sample_volume()
    heatmap = nc.explain_one(model, volume, "gradcam", "damaged", units=[10])
    with pytest.raises(ReportError, match="has no heatmap"):
        nc.faithfulness_report(model, {"a": volume}, {"b": heatmap})
    with pytest.raises(ReportError, match="shape"):
        nc.faithfulness_report(model, np.zeros((3, 40, 50), np.float32), heatmap)
    with pytest.raises(ReportError, match="True and False"):
        nc.faithfulness_report(model, volume, heatmap, reference=np.zeros((2, 3, 4), bool))
    with pytest.raises(ReportError, match="1 or more"):
        nc.faithfulness_report(model, volume, heatmap, most_units=0)
    for units, message in (([99], "no unit 99"), ([-1], "no unit -1"), ([3], "not explained")):
        with pytest.raises(ReportError, match=message):
            nc.faithfulness_report(model, volume, heatmap, units=units)
    with pytest.raises(ReportError, match="between 0 and 1"):
        nc.faithfulness_report(model, volume, heatmap, confidence=95)


def test_maps_of_different_classes_have_no_floors_in_common():
    model, volume = nc.load_sample_model(), nc.load_sample_volume()
    maps = nc.explain(model, volume, ["gradcam"], ["damaged", "healthy"], units=[10])
    with pytest.raises(ReportError, match="one class at a time"):
        nc.faithfulness_report(model, volume, maps)
