"""Folds of whole groups: even, repeatable, and the same for those who had one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import StatisticsError
from napari_cam.statistics.folds import deal_groups, fill_folds, fold_of_groups

pytestmark = pytest.mark.quick


def test_groups_are_dealt_in_the_drawn_order_one_to_each_fold_in_turn():
    order = np.random.default_rng(3).permutation(7)
    names = [*"abcdefg"]
    dealt = deal_groups(names, 3, seed=3)
    assert dealt == [
        tuple(names[order[place]] for place in places) for places in ([0, 3, 6], [1, 4], [2, 5])
    ]
    assert sorted(each for fold in dealt for each in fold) == names


def test_cases_of_a_group_share_its_fold():
    groups = ["b", "a", "b", "c", "a"]
    assert fold_of_groups(groups) == [0, 1, 0, 2, 1]
    found = fold_of_groups(groups, 2, seed=1)
    assert found[0] == found[2]
    assert found[1] == found[4]
    assert sorted(np.bincount([found[0], found[1], found[3]])) == [1, 2]
    assert fold_of_groups(groups, {"a": 4, "b": 2, "c": 4}) == [2, 4, 2, 4, 4]


@pytest.mark.parametrize(
    ("groups", "folds", "says"),
    [
        ("aa", None, "1 group"),
        ("abc", 1, "3 groups make 2 to 3 folds, not 1"),
        ("abc", 4, "3 groups make 2 to 3 folds, not 4"),
        ("abc", True, "not True"),
        ("abc", {"a": 0, "b": 1}, "1 groups have no fold"),
        ("ab", {"a": 1, "b": 1}, "one fold"),
    ],
)
def test_folds_that_cannot_be_are_refused(groups, folds, says):
    with pytest.raises(StatisticsError, match=says):
        fold_of_groups([*groups], folds)


def test_folds_are_filled_evenly_and_keep_whom_they_have():
    # 6 goes to the empty fold 1 (2, 0), then 3 to fold 0, 2 to fold 0 (5 < 6), 1 to 1 (7 > 6).
    assert fill_folds({"p": 1, "q": 6, "r": 2, "s": 3}, [2, 0], {}) == {
        "q": 1,
        "s": 0,
        "r": 0,
        "p": 1,
    }
    assert fill_folds({"p": 5, "q": 1}, [9, 1], {"p": 0}) == {"p": 0, "q": 1}
