"""What checks come to: one sentence, and never a shortcut overlooked in silence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_cam.errors import ReportError
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.faithfulness.checks import (
    faithfulness_checks,
    localisation_checks,
    network_checks,
    places_check,
    summary_by_subject,
)
from napari_cam.reports.faithfulness.measured import Measured
from napari_cam.reports.faithfulness.network.remaking import rank_correlation
from napari_cam.reports.faithfulness.settings import Accuracy, NetworkFacts
from napari_cam.reports.faithfulness.verdict import Check, above_zero, verdict_of
from napari_cam.sample import load_sample_model
from napari_cam.statistics import Interval


def check(name, kind, passed):
    return Check(name, kind, 0.5, "> 0", passed)


GOOD = [
    check("held-out accuracy", "network", True),
    check("randomisation", "faithfulness", True),
    check("energy in foreground", "localisation", True),
]


def test_a_map_that_passes_is_not_proven():
    text = verdict_of(GOOD)
    assert text.startswith("All 3 checks of the map passed")
    assert "not the same as proof" in text


def test_a_faithful_map_of_a_shortcut_is_called_that():
    text = verdict_of([*GOOD[:2], check("energy in foreground", "localisation", False)])
    assert "passes every check of faithfulness" in text
    assert "shortcut" in text
    assert "not to be believed" in text


def test_the_network_comes_first():
    text = verdict_of([check("held-out accuracy", "network", False), *GOOD[1:]])
    assert text == (
        "The map is not to be believed, as the network itself fails: held-out accuracy."
    )
    text = verdict_of([GOOD[0], check("randomisation", "faithfulness", False), GOOD[2]])
    assert "does not show what the network uses: randomisation failed." in text


def test_where_nothing_was_checked_of_place_the_sentence_says_so():
    text = verdict_of([*GOOD[:2], check("energy in foreground", "localisation", None)])
    assert "not made: energy in foreground" in text
    assert "a shortcut would not have been seen" in text


def interval(value, low, high):
    return Interval(value, low, high, 0.95, "", 4)


def test_a_difference_passes_by_its_whole_interval():
    assert above_zero("x", "network", interval(0.2, 0.1, 0.3), "").passed is True
    assert above_zero("x", "network", interval(0.2, -0.1, 0.5), "").passed is False
    assert above_zero("x", "network", interval(0.2, math.nan, math.nan), "").passed is True
    assert above_zero("x", "network", interval(math.nan, math.nan, math.nan), "").passed is None


def measured(**metrics):
    """Four units of two subjects for the map "m" and one floor."""
    found = Measured()
    for metric, (own, floor) in metrics.items():
        for name, values in ((MapName("m"), own), (MapName("floor: random"), floor)):
            for unit, value in enumerate(values or []):
                found.rows.append(
                    {"subject": "ab"[unit // 2], "unit": unit, "class": 1, "map": name}
                    | {"metric": metric, "value": value}
                )
    return found


SUMMARY = summary_by_subject(2, 500, 0.95, 0)


def test_the_hardest_floor_decides():
    found = measured(
        deletion=([0.1, 0.2, 0.1, 0.2], [0.5, 0.6, 0.5, 0.6]),
        insertion=([0.9, 0.8, 0.9, 0.8], [0.95, 0.9, 0.95, 0.9]),
    )
    for unit in range(4):
        found.rows.append(
            {"subject": "ab"[unit // 2], "unit": unit, "class": 1, "metric": "deletion"}
            | {"map": MapName("floor: centred Gaussian"), "value": 0.3}
        )
    deletion, insertion, road, randomisation = faithfulness_checks(
        found, MapName("m"), SUMMARY, recipe=False, control=False
    )
    assert deletion.value == pytest.approx(0.15)
    assert deletion.note == "hardest floor: centred Gaussian"
    assert deletion.passed is True
    assert (insertion.passed, road.passed, randomisation.passed) == (False, None, None)


def test_energy_is_held_against_a_flat_map_and_random_weights():
    found = measured(
        energy_foreground=([0.9, 0.8, 0.9, 0.8], None),
        area_foreground=([0.5, 0.5, 0.5, 0.5], None),
        energy_foreground_random=([0.6, 0.9, 0.6, 0.9], None),
    )
    foreground, reference, random = localisation_checks(found, MapName("m"), SUMMARY, recipe=True)
    assert (foreground.value, foreground.passed) == (pytest.approx(0.35), True)
    assert reference.passed is None
    assert (random.value, random.passed) == (pytest.approx(0.1), True)


def test_accuracy_must_beat_the_most_frequent_class():
    good, bad = Accuracy(90, 100, 0.77), Accuracy(80, 100, 0.77)
    assert network_checks(good, 0.0)[0].passed is True
    assert network_checks(bad, 0.0)[0].passed is False
    assert network_checks(None, 0.0)[0].passed is None
    assert network_checks(good, 0.3)[1].passed is False


def test_the_card_states_accuracy_and_chance():
    model = load_sample_model()
    network = NetworkFacts.of(model)
    found = network.accuracy_from(None)
    assert (found.successes, found.n) == (1212, 1253)
    counts = model.card.training["images_per_class"]["validation"]
    assert found.chance == max(counts) / sum(counts)
    assert network.accuracy_from((7, 9)) == Accuracy(7, 9, 0.5)
    with pytest.raises(ReportError, match="successes, n"):
        network.accuracy_from(0.93)


def test_few_places_are_too_few():
    assert places_check((3, 8)).passed is False
    assert places_check((4, 4)).passed is True


def test_flat_maps_are_like_nothing():
    ramp = np.arange(12.0).reshape(3, 4)
    assert rank_correlation(ramp, ramp**3) == pytest.approx(1)
    assert rank_correlation(ramp, -ramp) == pytest.approx(-1)
    assert rank_correlation(ramp, np.ones((3, 4))) == 0
    assert math.isnan(rank_correlation(np.zeros((3, 4)), np.ones((3, 4))))
