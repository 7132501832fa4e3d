"""Pairs of packed masks: against scikit-learn, a plain loop, and what agreement must fulfil."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, jaccard_score

from napari_cam.errors import MaskError
from napari_cam.masks import pairs
from napari_cam.masks.pairs import by_table, counts_with, pack, pair_counts

pytestmark = pytest.mark.quick

SHAPE = (3, 5, 31)  # no unit fills its words


def masks(n, seed=0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    return [rng.random(shape) < share for share in rng.uniform(0.1, 0.9, n)]


def test_pairs_agree_with_scikit_learn():
    given_masks = masks(4)
    found = pair_counts(pack(given_masks))
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3),
    ]  # fmt: skip
    for place, (a, b) in enumerate(zip(found.first, found.second, strict=True)):
        for z in range(3):
            expected = jaccard_score(given_masks[a][z].ravel(), given_masks[b][z].ravel())
            assert found.iou()[place, z] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2, None])
def test_units_lie_along_any_axis(axis):
    one, two = masks(2, seed=5)
    found = pair_counts(pack([one, two], axis))
    across = tuple(a for a in range(3) if a != axis)
    assert found.intersection[0].tolist() == np.atleast_1d((one & two).sum(across)).tolist()
    assert found.union[0].tolist() == np.atleast_1d((one | two).sum(across)).tolist()


def test_old_numpy_counts_by_table(monkeypatch):
    words = np.random.default_rng(1).integers(0, 2**63, (4, 7), dtype=np.uint64)
    words[0, 0] = np.uint64(2**64 - 1)
    expected = [sum(int(word).bit_count() for word in row) for row in words]
    assert by_table(words).sum(axis=-1).tolist() == expected
    new = pair_counts(pack(masks(5)))
    monkeypatch.setattr(pairs, "_popcount", by_table)
    old = pair_counts(pack(masks(5)))
    assert np.array_equal(new.intersection, old.intersection)
    assert np.array_equal(new.union, old.union)


def test_two_empty_masks_follow_the_policy():
    none = np.zeros(SHAPE, bool)
    some = none.copy()
    some[1, 2, 3] = True
    found = pair_counts(pack([none, some]))
    assert np.isnan(found.iou()[0, [0, 2]]).all()
    assert found.iou(1.0)[0].tolist() == [1.0, 0.0, 1.0]
    assert found.iou(0.0)[0].tolist() == [0.0, 0.0, 0.0]


@given(arrays(bool, (5, 2, 3, 11)))
@settings(max_examples=60, deadline=None)
def test_what_agreement_fulfils(given_masks):
    found = pair_counts(pack(given_masks))
    assert found.intersection.shape == (5 * 4 // 2, 2)
    assert (found.intersection <= found.union).all()
    back = pair_counts(pack(given_masks[::-1]))
    # The pair (a, b) is the pair (4 - b, 4 - a) of the reversed masks.
    order = [
        int(np.flatnonzero((back.first == 4 - b) & (back.second == 4 - a))[0])
        for a, b in zip(found.first, found.second, strict=True)
    ]
    assert np.array_equal(found.intersection, back.intersection[order])
    same = pair_counts(pack([given_masks[0]] * 3))
    assert np.array_equal(same.intersection, same.union)
    apart = pair_counts(pack([given_masks[0], ~given_masks[0]]))
    assert not apart.intersection.any()
    assert (apart.union == 33).all()


@pytest.mark.parametrize("restricted", [False, True])
def test_counts_with_a_reference_agree_with_scikit_learn(restricted):
    given_masks, (reference, region) = masks(3, seed=7), masks(2, seed=8)
    inside = pack([region]) if restricted else None
    found = counts_with(pack(given_masks), pack([reference]), inside)
    for place, mask in enumerate(given_masks):
        for z in range(3):
            use = region[z] if restricted else np.ones_like(region[z])
            tn, fp, fn, tp = confusion_matrix(reference[z][use], mask[z][use]).ravel()
            each = [np.asarray(getattr(found, name))[place, z] for name in ("tp", "fp", "fn", "tn")]
            assert each == [tp, fp, fn, tn]


def test_what_does_not_fit_is_named():
    with pytest.raises(MaskError, match="holds uint8"):
        pack([np.zeros(SHAPE, np.uint8)])
    with pytest.raises(MaskError, match="shape"):
        pack([np.zeros(SHAPE, bool), np.zeros((3, 5, 30), bool)])
    with pytest.raises(MaskError, match="no masks"):
        pack([])
    with pytest.raises(MaskError, match="one grid"):
        counts_with(pack(masks(1)), pack(masks(1, shape=(3, 5, 30))))


def test_a_single_mask_has_no_pair():
    found = pair_counts(pack(masks(1)))
    assert found.iou().shape == (0, 3)
