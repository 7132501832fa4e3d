"""The gain of a refinement: counted by hand, chosen out of fold, interval over whole groups."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cam.errors import MaskError, StatisticsError
from napari_cam.reports.refinement import RefinementGain, refinement_gain


def mask(first: int, end: int) -> NDArray[np.bool_]:
    """Return a mask of twenty voxels, those from `first` to before `end` set."""
    result = np.zeros((1, 4, 5), bool)
    result.flat[first:end] = True
    return result


# (tp, fp, fn) before: (4, 0, 4), (2, 2, 2), (0, 3, 3); after: (6, 0, 2), (2, 0, 2), (0, 3, 3).
REFERENCES = [mask(0, 8), mask(0, 4), mask(0, 3)]
BEFORE = [mask(0, 4), mask(2, 6), mask(10, 13)]
AFTER = [mask(0, 6), mask(0, 2), mask(10, 13)]
GROUPS = ["a", "b", "c"]


def test_overlaps_over_all_voxels_by_hand() -> None:
    dice = refinement_gain(BEFORE, AFTER, REFERENCES, GROUPS, folds=3)
    assert dice.before == pytest.approx(12 / (12 + 5 + 9))
    assert dice.after == pytest.approx(16 / (16 + 3 + 7))
    assert dice.gain == pytest.approx(4 / 26)
    iou = refinement_gain(BEFORE, AFTER, REFERENCES, GROUPS, folds=3, metric="iou")
    assert (iou.before, iou.after) == (pytest.approx(6 / 20), pytest.approx(8 / 18))
    assert (dice.n_cases, dice.n_groups) == (3, 3)


def test_the_interval_is_that_of_all_draws_of_groups() -> None:
    # Two cases of one group are drawn together; all 27 draws of three groups are enumerated.
    references, before, after = ([*side, side[0]] for side in (REFERENCES, BEFORE, AFTER))
    counted = {
        "before": np.array([[8, 0, 8], [2, 2, 2], [0, 3, 3]]),
        "after": np.array([[12, 0, 4], [2, 0, 2], [0, 3, 3]]),
    }
    differences = []
    for draw in product(range(3), repeat=3):
        value = {}
        for side, rows in counted.items():
            tp, fp, fn = rows[list(draw)].sum(axis=0)
            value[side] = 2 * tp / (2 * tp + fp + fn)
        differences.append(value["after"] - value["before"])
    found = refinement_gain(before, after, references, [*GROUPS, "a"], folds=2)
    low, high = np.quantile(differences, (0.025, 0.975), method="inverted_cdf")
    assert found.interval == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert low == 0
    assert not found.accepted


def test_nothing_changed_is_no_gain() -> None:
    found = refinement_gain(BEFORE, BEFORE, REFERENCES, GROUPS, folds=2)
    assert (found.gain, found.interval, found.accepted) == (0, (0, 0), False)


def test_what_helps_everyone_is_accepted() -> None:
    before = [mask(0, 5)] * 6
    found = refinement_gain(before, [mask(0, 9)] * 6, [mask(0, 10)] * 6, list("aabbcd"), folds=4)
    assert found.accepted
    assert found.interval == (found.gain, found.gain)
    assert found.gain == pytest.approx(18 / 19 - 10 / 15)
    assert "an improvement" in str(found)


def test_settings_are_chosen_by_the_others() -> None:
    # Setting k is perfect for group k and wrong for all others: chosen in-sample on a single
    # group it would look perfect, chosen by others it is never right.
    n = 4
    references = [mask(4 * k, 4 * k + 4) for k in range(n)]
    settings = {k: [mask(4 * k, 4 * k + 4)] * n for k in range(n)}
    found = refinement_gain([mask(0, 20)] * n, settings, references, range(n), folds=n)
    assert found.after == 0
    assert found.oracle["after"] == pytest.approx(8 / (8 + 12 + 12))
    for fold in found.folds:
        assert fold.after not in fold.groups


def test_a_better_cut_is_no_refinement() -> None:
    # The refinement does nothing but cut lower; unrefined masks may be cut lower too.
    cuts = {0.6: [mask(0, 4)] * 4, 0.2: [mask(0, 8)] * 4}
    alone = refinement_gain(cuts[0.6], cuts[0.2], [mask(0, 8)] * 4, list("abcd"), folds=2)
    assert alone.accepted
    fair = refinement_gain(cuts, cuts[0.2], [mask(0, 8)] * 4, list("abcd"), folds=2)
    assert fair.gain == 0
    assert not fair.accepted
    assert {fold.before for fold in fair.folds} == {0.2}
    assert fair.oracle["setting_before"] == 0.2


def test_generators_and_one_seed_give_the_same() -> None:
    once: RefinementGain = refinement_gain(BEFORE, AFTER, REFERENCES, GROUPS, folds=3, seed=4)
    again = refinement_gain(iter(BEFORE), (m for m in AFTER), REFERENCES, GROUPS, folds=3, seed=4)
    assert again.interval == once.interval
    assert again.folds == once.folds
    facts = json.loads(json.dumps(once.to_json()))
    assert facts["metric"] == "dice"
    assert facts["oracle"]["gain"] == pytest.approx(once.gain)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"metric": "hausdorff"}, "dice or iou"),
        ({"folds": 1}, "2 to 3 folds, not 1"),
        ({"folds": 4}, "3 groups"),
        ({"groups": ["a"]}, "3 references but 1 groups"),
        ({"before": BEFORE[:2]}, "2 masks for 3"),
        ({"after": [*AFTER, AFTER[0]]}, "more masks"),
        ({"after": {}}, "no masks"),
        ({"after": [m.astype(int) for m in AFTER]}, "booleans"),
        ({"references": [mask(0, 0)] * 3}, "No reference"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], said: str) -> None:
    given = {"before": BEFORE, "after": AFTER, "references": REFERENCES, "groups": GROUPS}
    with pytest.raises((MaskError, StatisticsError), match=said):
        refinement_gain(**{**given, "folds": 3, **changed})
