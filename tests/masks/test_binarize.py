"""Binarize: hand-typed masks, the papers' oracles, and what must never lie in a mask."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from napari_cam.errors import LookupFailed, MaskError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.masks.binarize import MaskKey, MaskSet, binarize
from napari_cam.masks.cleanup import Cleanup, clean
from napari_cam.masks.rules import (
    AreaFraction,
    Fixed,
    Li,
    LocalOtsu,
    Otsu,
    OutOf255,
    Quantile,
    ThresholdRule,
    Triangle,
    Yen,
)

pytestmark = pytest.mark.quick

SHAPE = (3, 5, 40)  # two hundred values per slice along z

EVERY = [
    *(Fixed(0.4), OutOf255(90), Quantile(0.5), AreaFraction(0.3), Otsu(), LocalOtsu(4)),
    *(Li(), Triangle(), Yen(), Otsu("volume"), AreaFraction(0.2, "cohort"), Yen("cohort")),
]


def heatmap(
    values: Any,
    unit_axis: int | None = 0,
    valid: list[bool] | None = None,
    inside: NDArray[np.bool_] | None = None,
    kind: Any = "unit",
) -> Heatmap:
    values = np.asarray(values, dtype=np.float32)
    units = 1 if unit_axis is None else values.shape[unit_axis]
    zeros = np.zeros(units, dtype=np.float32)
    return Heatmap(
        values=values,
        kind=kind,
        raw_min=zeros,
        raw_max=zeros + 1,
        valid=np.array(valid if valid is not None else [True] * units),
        class_index=np.zeros(units, dtype=np.int64),
        predicted_index=np.zeros(units, dtype=np.int64),
        score=zeros,
        inside=np.ones(values.shape, dtype=bool) if inside is None else inside,
        unit_axis=unit_axis,
        grid=Grid.plain(values.shape),
        provenance={"method": "gradcam"},
    )


def shuffled(shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> NDArray[np.float32]:
    """Return values in [0, 1) that are all different, in random order."""
    n = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(n) / n).reshape(shape).astype(np.float32)


TYPED = [
    [[0.0, 0.5, 0.3], [0.9, 0.1, 1.0]],
    [[0.2, 0.3, 0.4], [0.0, 0.6, 0.3]],
]


def test_a_mask_typed_by_hand() -> None:
    mask = binarize(heatmap(TYPED), Fixed(0.3))["mask"]
    assert mask.dtype == np.bool_
    assert mask.astype(int).tolist() == [
        [[0, 1, 0], [1, 0, 1]],
        [[0, 0, 1], [0, 1, 0]],
    ]


def test_reaching_the_cut_counts_only_where_asked() -> None:
    # 0.3 is no float32: compared in double precision its float32 neighbour would lie above it.
    mask = binarize(heatmap(TYPED), Fixed(0.3), strict=False)["mask"]
    assert mask.astype(int).tolist() == [
        [[0, 1, 1], [1, 0, 1]],
        [[0, 1, 1], [0, 1, 1]],
    ]


def test_the_cut_of_an_8_bit_value_is_not_above_itself() -> None:
    grey = heatmap((np.arange(256) / 255).reshape(1, 4, 64))
    for level in range(256):
        assert binarize(grey, OutOf255(level))["mask"].sum() == 255 - level


@pytest.mark.parametrize(("q", "above"), [(0.9, 20), (0.95, 10)])
def test_quantiles_leave_their_share_of_every_slice(q: float, above: int) -> None:
    values = shuffled() * np.array([1, 0.1, 0.01], dtype=np.float32).reshape(3, 1, 1)
    mask = binarize(heatmap(values), Quantile(q))["mask"]
    assert mask.sum(axis=(1, 2)).tolist() == [above] * 3


def test_a_quantile_of_the_volume_is_one_cut() -> None:
    values = shuffled() * np.array([1, 0.1, 0.01], dtype=np.float32).reshape(3, 1, 1)
    masks = binarize(heatmap(values), Quantile(0.9, "volume"))
    assert masks["mask"].sum() == 60
    assert len(set(masks.cuts["mask"].tolist())) == 1
    assert masks["mask"][2].sum() == 0  # the faintest slice has none of the top tenth


@pytest.mark.parametrize("unit_axis", [0, 1, 2])
def test_otsu_is_taken_slice_by_slice_along_the_unit_axis(unit_axis: int) -> None:
    values = shuffled((4, 6, 9))
    masks = binarize(heatmap(values, unit_axis), Otsu())
    for unit, cut in enumerate(masks.cuts["mask"]):
        piece = np.take(values, unit, axis=unit_axis)
        expected = threshold_otsu(piece.astype(np.float64))
        assert cut == pytest.approx(expected, rel=1e-6)
        got = np.take(masks["mask"], unit, axis=unit_axis)
        assert np.array_equal(got, piece > expected)


def test_a_network_of_volumes_has_one_unit() -> None:
    values = shuffled((4, 6, 9))
    masks = binarize(heatmap(values, unit_axis=None), Quantile(0.75))
    assert masks.cuts["mask"].shape == (1,)
    assert masks["mask"].sum() == 54  # a quarter of 216


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("strict", [True, False])
def test_masks_stay_inside_what_the_network_saw_and_the_foreground(
    rule: ThresholdRule, strict: bool
) -> None:
    random = np.random.default_rng(8)
    inside, foreground = random.random(SHAPE) < 0.7, random.random(SHAPE) < 0.6
    allowed = inside & foreground
    values = shuffled()
    masks = binarize(heatmap(values, inside=inside), rule, strict, foreground)
    assert not masks["mask"][~allowed].any()
    # What lies outside must not move the cut either.
    elsewhere = np.where(allowed, values, 1 - values)
    other = binarize(heatmap(elsewhere, inside=inside), rule, strict, foreground)
    assert np.array_equal(masks.cuts["mask"], other.cuts["mask"])
    assert np.array_equal(masks["mask"], other["mask"])


def test_quantiles_are_a_share_of_the_foreground() -> None:
    foreground = np.zeros(SHAPE, dtype=bool)
    foreground[:, :, :20] = True
    mask = binarize(heatmap(shuffled()), Quantile(0.9), foreground=foreground)["mask"]
    assert mask.sum(axis=(1, 2)).tolist() == [10, 10, 10]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "rule",
    [Fixed(0), OutOf255(0), Quantile(0), Quantile(0.9, "volume"), Otsu("volume"), *EVERY],
)
@pytest.mark.parametrize(
    "cleanup", [None, Cleanup(closing_mm=3, fill_holes=True), Cleanup(closing_mm=9, per="unit")]
)
def test_a_unit_without_evidence_has_an_empty_mask(
    rule: ThresholdRule, strict: bool, cleanup: Cleanup | None
) -> None:
    masks = binarize(heatmap(shuffled(), valid=[True, False, True]), rule, strict, None, cleanup)
    cuts = masks.cuts["mask"]
    per_unit = cuts if cuts.ndim == 1 else cuts[:, 2, 7]
    assert np.isnan(per_unit).tolist() == [False, True, False]
    assert masks["mask"].any(axis=(1, 2)).tolist() == [True, False, True]


def test_a_unit_without_evidence_does_not_move_the_cut_of_the_volume() -> None:
    values = shuffled()
    values[1] = 0
    masks = binarize(heatmap(values, valid=[True, False, True]), Quantile(0.9, "volume"))
    assert masks["mask"].sum() == 40  # a tenth of the two slices with evidence


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "rule", [Quantile(0.9), AreaFraction(1), Otsu(), LocalOtsu(3), Li(), Triangle(), Yen()]
)
def test_a_constant_unit_has_no_upper_part(rule: ThresholdRule, strict: bool) -> None:
    values = shuffled()
    values[2] = 0.6
    assert not binarize(heatmap(values), rule, strict)["mask"][2].any()


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("cleanup", [None, Cleanup(closing_mm=3, fill_holes=True)])
def test_values_that_are_not_numbers_are_never_in_a_mask(
    rule: ThresholdRule, strict: bool, cleanup: Cleanup | None
) -> None:
    values = shuffled()
    values[0, 1:3] = np.nan
    values[1] = np.nan
    mask = binarize(heatmap(values), rule, strict, cleanup=cleanup)["mask"]
    assert mask.any()
    assert not mask[np.isnan(values)].any()


def test_a_foreground_that_misses_a_slice_leaves_it_empty() -> None:
    foreground = np.ones(SHAPE, dtype=bool)
    foreground[1] = False
    masks = binarize(heatmap(shuffled()), Otsu(), foreground=foreground)
    assert masks["mask"].any(axis=(1, 2)).tolist() == [True, False, True]


@pytest.mark.parametrize("family", [Fixed, Quantile])
@pytest.mark.parametrize("strict", [True, False])
def test_raising_the_cut_never_enlarges_a_mask(family: Any, strict: bool) -> None:
    rules = [family(t) for t in np.linspace(0, 1, 21)]
    rounded = np.round(shuffled(), 1)  # many ties
    masks = list(binarize(heatmap(rounded), rules, strict).values())
    assert masks[0].sum() > masks[10].sum() > masks[-1].sum()
    for lower, higher in pairwise(masks):
        assert not (higher & ~lower).any()


def test_masks_are_found_as_maps_are() -> None:
    maps = Maps({"gradcam": heatmap(shuffled()), "hirescam": heatmap(shuffled(seed=2))})
    one = binarize(maps, Fixed(0.5))
    assert list(one) == ["gradcam", "hirescam"]
    assert np.array_equal(one["hirescam"], maps["hirescam"].values > 0.5)

    several = binarize(maps, [Fixed(0.5), Otsu()])
    assert list(several)[1] == ("gradcam", Otsu())
    assert np.array_equal(several["gradcam / fixed(0.5)"], one["gradcam"])
    assert np.array_equal(several[MaskKey("hirescam", Fixed(0.5))], one["hirescam"])
    assert several.rules["hirescam / otsu"] == Otsu()
    assert "gradcam / otsu" in several
    assert "gradcam" not in several
    assert repr(several).startswith("MaskSet(gradcam / fixed(0.5), gradcam / otsu, ")
    with pytest.raises(LookupFailed, match="'gradcam' names 2 maps"):
        several["gradcam"]


def test_masks_are_computed_when_asked_for_and_not_kept() -> None:
    masks = binarize(heatmap(shuffled()), "otsu")
    assert masks["mask"] is not masks["mask"]
    kept = [masks.cuts["mask"].nbytes]
    assert kept == [12]  # three cuts in float32


def test_a_mask_set_does_not_change_with_what_it_was_made_from() -> None:
    foreground = np.ones(SHAPE, dtype=bool)
    masks = binarize(heatmap(shuffled()), Fixed(0.5), foreground=foreground)
    before = masks["mask"].sum()
    foreground[:] = False
    assert masks["mask"].sum() == before == 299
    with pytest.raises(ValueError, match="read-only"):
        masks.cuts["mask"][0] = 0
    with pytest.raises(AttributeError):
        masks.strict = False  # type: ignore[misc]


def test_mask_sets_are_compared_by_identity() -> None:
    one, other = (binarize(heatmap(shuffled()), Fixed(0.5)) for _ in range(2))
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def test_what_made_a_mask_is_plain_json() -> None:
    masks = binarize(heatmap(TYPED, valid=[True, False]), "fixed:0.25", strict=False)
    made = json.loads(json.dumps(masks.provenance_of("mask"), allow_nan=False))
    assert made["kind"] == "mask"
    assert made["rule"] == "fixed(0.25)"
    assert made["cuts"] == [0.25, None]
    assert made["strict"] is False
    assert made["foreground"] is False
    assert made["heatmap"] == {"method": "gradcam"}


def test_raw_maps_take_statistics_and_zero_only() -> None:
    raw = heatmap(shuffled() * 30 - 3, kind="signed")
    assert binarize(raw, Fixed(0))["mask"].sum() == 539  # k / 600 * 30 > 3 from k = 61 on
    assert binarize(raw, Quantile(0.9))["mask"].sum() == 60
    with pytest.raises(MaskError, match=r"fixed\(0.5\) needs a heatmap .* 'mask' is signed"):
        binarize(raw, Fixed(0.5))
    with pytest.raises(MaskError, match=r"out-of-255\(200\) needs a heatmap"):
        binarize({"gradcam": raw}, OutOf255(200))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0.1, 0.2], Otsu()), "takes a Heatmap or heatmaps by name, not list"),
        (({"a": np.zeros(3)}, Otsu()), "not dict"),
        (({}, Otsu()), "no heatmaps to cut"),
        ((heatmap(TYPED), 0.5), "0.5 is no threshold rule"),
        ((heatmap(TYPED), [Otsu(), None]), "None is no threshold rule"),
        ((heatmap(TYPED), []), "no threshold rule to cut with"),
        ((heatmap(TYPED), "lee"), "'lee' is no threshold rule"),
        ((heatmap(TYPED), Otsu(), True, np.ones((2, 3, 2), bool)), r"\(2, 3, 2\) but the heatmap"),
        ((heatmap(TYPED), Otsu(), True, np.ones((2, 2, 3))), "boolean array, not float64"),
        ((heatmap(TYPED), Otsu(), True, [[True]]), "boolean array, not list"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, said: str) -> None:
    with pytest.raises(MaskError, match=said):
        binarize(*arguments)


def test_a_mask_set_is_a_mapping_of_masks() -> None:
    masks = binarize({"a": heatmap(TYPED), "b": heatmap(TYPED)}, Fixed(0.5))
    assert isinstance(masks, MaskSet)
    assert len(masks) == 2
    assert {key: int(mask.sum()) for key, mask in masks.items()} == {"a": 3, "b": 3}


# --- local cuts, cohorts, clean-up


def test_local_cuts_are_arrays_on_the_heatmap_and_taken_unit_by_unit() -> None:
    values = shuffled((4, 6, 9))
    rule = LocalOtsu(2.5, "px")
    for unit_axis in (0, 1, 2):
        masks = binarize(heatmap(values, unit_axis), rule)
        cuts = masks.cuts["mask"]
        assert cuts.shape == values.shape
        np.testing.assert_array_equal(masks["mask"], values > cuts)
        for unit in range(values.shape[unit_axis]):
            piece = np.take(values, unit, axis=unit_axis)
            np.testing.assert_array_equal(
                np.take(cuts, unit, axis=unit_axis),
                rule.cuts(piece, np.ones(piece.shape, bool), (1, 1)),
            )
    whole = binarize(heatmap(values, None), rule)
    np.testing.assert_array_equal(
        whole.cuts["mask"], rule.cuts(values, np.ones(values.shape, bool), (1, 1, 1))
    )
    with pytest.raises(ValueError, match="read-only"):
        whole.cuts["mask"][0, 0, 0] = 0


def test_the_radius_is_in_millimetres_of_the_slices_plane() -> None:
    values = shuffled((4, 6, 9))
    thin = Grid.plain(values.shape, (0.1, 2.0, 1.0), "mm")
    wide = replace(heatmap(values), grid=thin)
    cuts = binarize(wide, LocalOtsu(4)).cuts["mask"]
    expected = LocalOtsu(4).cuts(values[1], np.ones((6, 9), bool), (2.0, 1.0))
    np.testing.assert_array_equal(cuts[1], expected)


def test_what_local_cuts_were_is_told_briefly() -> None:
    masks = binarize(heatmap(shuffled()), LocalOtsu(4))
    cuts = masks.cuts["mask"]
    made = json.loads(json.dumps(masks.provenance_of("mask"), allow_nan=False))
    assert made["rule"] == "local-otsu(4)"
    assert made["cuts"] == {
        "lowest": float(np.nanmin(cuts)),
        "median": float(np.nanmedian(cuts)),
        "highest": float(np.nanmax(cuts)),
    }
    nothing = binarize(heatmap(shuffled(), valid=[False] * 3), LocalOtsu(4))
    assert set(nothing.provenance_of("mask")["cuts"].values()) == {None}


def test_a_cohort_has_one_cut_of_the_pooled_values() -> None:
    faint, strong = shuffled((2, 5, 8), seed=3) / 2, shuffled((3, 4, 6), seed=4)
    maps = {"faint": heatmap(faint), "strong": heatmap(strong)}
    pooled = np.concatenate([faint.ravel(), strong.ravel()])
    masks = binarize(maps, AreaFraction(0.25, "cohort"))
    # A quarter of 80 + 72 values, which the faint one's hardly reach.
    counts = {key: int(mask.sum()) for key, mask in masks.items()}
    assert sum(counts.values()) == 38
    assert counts["faint"] == (faint > np.sort(pooled)[-39]).sum() == 2
    assert len({cut for cuts in masks.cuts.values() for cut in cuts.tolist()}) == 1
    assert masks.provenance_of("faint")["cohort"] == 2
    assert "cohort" not in binarize(maps, Otsu()).provenance_of("faint")
    otsu = binarize(maps, [Otsu("cohort"), Fixed(0.5)])
    expected = threshold_otsu(pooled.astype(np.float64))
    for key in maps:
        cuts = otsu.cuts[MaskKey(key, Otsu("cohort"))]
        np.testing.assert_allclose(cuts, expected, rtol=1e-6)


def test_a_cohort_of_one_is_its_volume() -> None:
    one = heatmap(shuffled())
    for rule in (Otsu, Li, Triangle, Yen):
        np.testing.assert_array_equal(
            binarize(one, rule("cohort")).cuts["mask"], binarize(one, rule("volume")).cuts["mask"]
        )


def test_units_without_evidence_do_not_move_the_cut_of_a_cohort() -> None:
    values = shuffled()
    values[1] = 0
    maps = {"a": heatmap(values, valid=[True, False, True]), "b": heatmap(shuffled(seed=2) + 1e-3)}
    masks = binarize(maps, AreaFraction(0.1, "cohort"))
    assert masks["a"].sum() + masks["b"].sum() == 100  # a tenth of two and three slices
    assert np.isnan(masks.cuts["a"]).tolist() == [False, True, False]


def test_a_cohort_has_one_scale() -> None:
    maps = {"a": heatmap(shuffled()), "b": heatmap(shuffled() * 9, kind="raw")}
    with pytest.raises(MaskError, match="'a' is unit and 'b' is raw"):
        binarize(maps, Otsu("cohort"))
    binarize(maps, Otsu())


def test_heatmaps_may_have_foregrounds_of_their_own() -> None:
    small, large = heatmap(shuffled((2, 5, 8))), heatmap(shuffled())
    left = np.zeros((2, 5, 8), bool)
    left[:, :, :4] = True
    masks = binarize({"small": small, "large": large}, AreaFraction(0.5), True, {"small": left})
    assert masks["small"].sum(axis=(1, 2)).tolist() == [10, 10]
    assert not masks["small"][:, :, 4:].any()
    assert masks["large"].sum() == 300
    assert masks.foreground_of("large") is None
    np.testing.assert_array_equal(masks.foreground_of("small"), left)
    left[:] = False
    assert masks["small"].sum() == 20
    several = binarize(
        {"small": small, "large": large}, ["otsu", "li"], True, {"large": large.inside}
    )
    assert several["small / li"].shape == (2, 5, 8)
    assert several.provenance_of("small / li")["foreground"] is False
    assert several.provenance_of("large / li")["foreground"] is True
    with pytest.raises(MaskError, match=r"a foreground for 'smal' but no heatmap .* small, large"):
        binarize({"small": small, "large": large}, Otsu(), True, {"smal": left})
    with pytest.raises(MaskError, match=r"has shape \(2, 5, 8\) but the heatmap 'large'"):
        binarize({"small": small, "large": large}, Otsu(), True, {"large": left})


def test_masks_are_cleaned_after_the_cut() -> None:
    values = np.zeros((1, 5, 7))
    values[0, 1:4, 1:4] = 0.9
    values[0, 2, 2] = 0.1
    values[0, 3, 6] = 0.8
    one = heatmap(values)
    plain = binarize(one, Fixed(0.5))["mask"]
    cleanup = Cleanup(fill_holes=True, smallest=2)
    masks = binarize(one, Fixed(0.5), cleanup=cleanup)
    assert masks["mask"].astype(int).tolist() == [
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ]
    ]
    np.testing.assert_array_equal(masks["mask"], clean(plain, one.grid, cleanup, 0))
    made = json.loads(json.dumps(masks.provenance_of("mask"), allow_nan=False))
    assert made["cleanup"] == cleanup.to_json()
    assert binarize(one, Fixed(0.5)).provenance_of("mask")["cleanup"] is None


def test_what_is_filled_in_stays_inside_and_in_the_foreground() -> None:
    values = np.ones((1, 5, 5))
    values[0, 2, 1:4] = 0
    inside, foreground = np.ones((2, 1, 5, 5), dtype=bool)
    inside[0, 2, 1] = False
    foreground[0, 2, 2] = False
    filled = Cleanup(fill_holes=True)
    mask = binarize(heatmap(values, inside=inside), Fixed(0.5), True, foreground, filled)["mask"]
    assert mask[0, 2].astype(int).tolist() == [1, 0, 0, 1, 1]


def test_units_are_cleaned_along_the_unit_axis() -> None:
    values = shuffled((4, 6, 9))
    cleanup = Cleanup(largest_only=True, per="unit")
    for axis in (0, 1, 2):
        mask = binarize(heatmap(values, axis), Fixed(0.6), cleanup=cleanup)["mask"]
        for unit in range(values.shape[axis]):
            piece = np.take(values, [unit], axis=axis)
            alone = binarize(heatmap(piece, axis), Fixed(0.6), cleanup=cleanup)["mask"]
            np.testing.assert_array_equal(np.take(mask, [unit], axis=axis), alone)


def test_a_clean_up_that_does_not_fit_is_refused_at_once() -> None:
    with pytest.raises(MaskError, match=r"A clean-up is a Cleanup, as in .* not 'largest'"):
        binarize(heatmap(TYPED), Otsu(), cleanup="largest")  # type: ignore[arg-type]
    with pytest.raises(MaskError, match=r"The mask to be touched has shape \(1, 2, 3\)"):
        binarize(heatmap(TYPED), Otsu(), cleanup=Cleanup(touching=np.ones((1, 2, 3), bool)))


# --- properties, for any values

VALUES = arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)),
    elements=st.integers(0, 12).map(lambda n: n / 12),
)
UNIT_AXES = st.sampled_from([None, 0, 1, 2])
FAMILIES = st.sampled_from(
    [
        lambda t: Fixed(t),
        lambda t: OutOf255(255 * t),
        lambda t: Quantile(t),
        lambda t: Quantile(t, "volume"),
        lambda t: AreaFraction(1 - t),
        lambda t: AreaFraction(1 - t, "cohort"),
    ]
)


@settings(max_examples=80, deadline=None)
@given(
    values=VALUES,
    axis=UNIT_AXES,
    family=FAMILIES,
    cuts=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    strict=st.booleans(),
    opening=st.sampled_from(
        [None, Cleanup(opening_mm=1), Cleanup(smallest=3), Cleanup(closing_mm=1)]
    ),
)
def test_raising_any_cut_never_enlarges_a_mask(
    values: Any, axis: Any, family: Any, cuts: Any, strict: bool, opening: Any
) -> None:
    low, high = (
        binarize(heatmap(values, axis), family(t), strict, cleanup=opening)["mask"]
        for t in sorted(cuts)
    )
    assert not (high & ~low).any()


@settings(max_examples=80, deadline=None)
@given(values=VALUES, axis=UNIT_AXES, rule=st.sampled_from([*EVERY, Fixed(0.25), Fixed(0)]))
def test_both_inequalities_differ_exactly_at_the_cut(
    values: Any, axis: Any, rule: ThresholdRule
) -> None:
    one = heatmap(values, axis)
    strict, reaching = (binarize(one, rule, strict) for strict in (True, False))
    cuts = strict.cuts["mask"]
    at_cut = values == (cuts if cuts.ndim == 3 else one.per_unit(cuts))
    np.testing.assert_array_equal(reaching["mask"] & ~strict["mask"], at_cut)
    assert not (strict["mask"] & ~reaching["mask"]).any()
