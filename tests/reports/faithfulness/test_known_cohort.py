"""Networks that learned the right thing, a shortcut, or nothing: what the report makes of each."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import napari_cam as nc
from napari_cam.errors import ReportError
from napari_cam.reports.faithfulness.settings import CurveSettings
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


def case_of(model, one):
    """Return Grad-CAM for "damaged" of a phantom."""
    maps = nc.explain(model, one.volume, ["gradcam"], ["damaged"])
    return nc.Case(
        *(maps, one.damage > 0.5, f"phantom {one.seed}"), foreground=one.tissue, image=one.volume
    )


def judged(model, phantoms, **more):
    """Return the report on Grad-CAM for "damaged" of several phantoms."""
    cases = (case_of(model, one) for one in phantoms)
    return nc.faithfulness_report(cases, model, most_units=2, **QUICK, **more)


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
        nc.explain_one(model, image, "saliency", "yes"),
        model,
        image=image,
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
    case = nc.Case(heatmap, image=volume)
    with pytest.raises(ReportError, match="image of '1' is not given"):
        nc.faithfulness_report(heatmap, model)
    with pytest.raises(ReportError, match="has its own image"):
        nc.faithfulness_report([case], model, image=volume)
    with pytest.raises(ReportError, match="asks the network"):
        nc.faithfulness_report(case)
    with pytest.raises(ReportError, match="shape"):
        nc.faithfulness_report(heatmap, model, image=np.zeros((3, 40, 50), np.float32))
    with pytest.raises(ReportError, match="reference"):
        nc.faithfulness_report(heatmap, model, image=volume, reference=np.zeros((2, 3, 4), bool))
    with pytest.raises(ReportError, match="a mask where a heatmap"):
        nc.faithfulness_report(heatmap.values > 0.5, model, image=volume)
    with pytest.raises(ReportError, match="takes them along 0"):
        nc.faithfulness_report(replace(heatmap, unit_axis=None), model, image=volume)
    with pytest.raises(ReportError, match="1 or more"):
        nc.faithfulness_report(case, model, most_units=0)
    for units, message in (([99], "no unit 99"), ([-1], "no unit -1"), ([3], "not explained")):
        with pytest.raises(ReportError, match=message):
            nc.faithfulness_report(case, model, units=units)
    with pytest.raises(ReportError, match="between 0 and 1"):
        nc.faithfulness_report(case, model, confidence=95)


def test_maps_of_different_classes_have_no_floors_in_common():
    model, volume = nc.load_sample_model(), nc.load_sample_volume()
    maps = nc.explain(model, volume, ["gradcam"], ["damaged", "healthy"], units=[10])
    with pytest.raises(ReportError, match="one class at a time"):
        nc.faithfulness_report(maps, model, image=volume)


def small_case(seed):
    """Return a network that sums up pixels, and an image with its saliency."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((9, 11))
    weights[:4, :5] = 0.1
    image = rng.random((3, 9, 11)).astype(np.float32)
    model = model_of(Weighted(weights))
    maps = nc.explain(model, image, ["saliency"], ["yes"])
    return model, image, maps, np.broadcast_to(weights > 0, image.shape).copy()


@pytest.mark.filterwarnings("ignore:faithfulness_report:DeprecationWarning")
def test_the_former_call_says_the_same_and_refuses_the_same():
    model, image, maps, truth = small_case(0)
    how = QUICK | {"score": "logit"}
    steps = []
    now = nc.faithfulness_report(maps, model, image=image, reference=truth, **how)
    former = nc.faithfulness_report(
        model, image, maps, reference=truth, progress=lambda *each: steps.append(each), **how
    )
    assert former.table.assign(subject="").equals(now.table.assign(subject=""))
    assert former.verdict == now.verdict
    assert steps == [(1, 3), (2, 3), (3, 3)]
    by_subject = nc.faithfulness_report(
        model=model, volume={"1": image}, heatmaps={"1": maps}, reference={"1": truth}, **how
    )
    assert by_subject.table.equals(now.table)
    with pytest.raises(ReportError, match="has no heatmap"):
        nc.faithfulness_report(model, {"a": image}, {"b": maps})
    with pytest.raises(ReportError, match="True and False"):
        nc.faithfulness_report(model, image, maps, reference=np.zeros((2, 3, 4), bool))


def test_the_former_call_warns():
    model, image, maps, _ = small_case(0)
    with pytest.warns(DeprecationWarning, match=r"\(model, volume, heatmaps\) is deprecated"):
        nc.faithfulness_report(model, image, maps, units=[0], **QUICK | {"score": "logit"})
