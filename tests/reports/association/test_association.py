"""Shares against a measurement: planted correlations, the papers' figures, honest sentences."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from napari_cam.errors import ReportError
from napari_cam.reports.association.correlations import Measurement
from napari_cam.reports.association.report import association_report
from napari_cam.reports.association.shares import reference_shares, subject_shares
from napari_cam.reports.cases.case import Case
from napari_cam.reports.overlap.report import reference_report
from napari_cam.sample.phantom import phantom
from napari_cam.statistics import correlate
from tests.reports.heatmaps import blob, heatmap, noise

FILLETS = [f"fillet {place}" for place in range(32)]
FISH = {name: f"fish {place // 2}" for place, name in enumerate(FILLETS)}
PROTOCOL = {name: ("-5", "-20", "-40")[place % 3] for place, name in enumerate(FILLETS)}
LOSS = Measurement("liquid loss", "%", "fish", "freezing protocol")


def fractions(shares, combination=("gradcam", "vgg16", "last", "fixed(0.5)")):
    """Return shares of 5 units per fillet whose mean is the fillet's share."""
    names = dict(zip(("method", "backbone", "layer", "threshold"), combination, strict=True))
    steps = 0.01 * np.array([-2, -1, 0, 1, 2])
    return pd.DataFrame(
        [
            {"subject": name, "unit": unit, **names, "share": share + step, "voxels": 100 + unit}
            for name, share in zip(FILLETS, shares, strict=True)
            for unit, step in enumerate(steps)
        ]
    )


@cache
def phantoms_damage():
    """Damage of small phantoms, the population that fillets are drawn from."""
    truths, tissues = {}, {}
    for seed in range(60):
        one = phantom(seed, shape=(8, 48, 48))
        truths[seed], tissues[seed] = one.damage > 0.5, one.tissue
    found = subject_shares(reference_shares(truths, tissues))
    return found["share"].to_numpy()


def losses(rng, damage, fish):
    """Liquid loss: monotone in damage, with an error that fillets of a fish share in part."""
    shared = rng.normal(size=len(fish))[fish]
    return 25 * damage**0.7 + 0.7 * shared + 0.9 * rng.normal(size=len(damage))


def test_the_interval_covers_the_planted_correlation_of_phantoms():
    population = phantoms_damage()
    assert len(np.unique(population)) > 50
    rng = np.random.default_rng(99)
    many = rng.choice(population, 200_000)
    truth = stats.spearmanr(many, losses(rng, many, np.arange(200_000) // 2)).statistic
    assert 0.5 < truth < 0.95
    fish = np.arange(32) // 2
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        damage = rng.choice(population, 32)
        found = correlate(damage, losses(rng, damage, fish), groups=fish, seed=seed)
        covered.append(found.interval.covers(truth))
    assert 0.90 <= np.mean(covered) <= 0.99


def test_coefficients_are_those_of_the_fillets():
    rng = np.random.default_rng(1)
    shares = rng.uniform(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, 20 * shares + rng.normal(size=32), strict=True))
    report = association_report(fractions(shares), loss, groups=FISH, measurement=LOSS)
    y = list(loss.values())
    for metric, expected in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        (row,) = report.select(metric=metric).to_dict("records")
        value, p = expected(shares, y)
        assert (row["value"], row["p"], row["n"]) == pytest.approx((value, p, 32))
        assert row["ci_low"] < value < row["ci_high"]
    (row,) = report.select(metric="shapiro_w").to_dict("records")
    assert (row["value"], row["p"]) == pytest.approx(tuple(stats.shapiro(shares)))
    assert len(report.select(level="subject", metric="mask_share")) == 32
    assert "16 for 32 subjects" in report.notes[1]


def test_a_protocol_that_moves_both_is_told_from_a_correlation():
    rng = np.random.default_rng(5)
    level = np.array([{"-5": 0.5, "-20": 0.3, "-40": 0.1}[PROTOCOL[name]] for name in FILLETS])
    shares = level + 0.02 * rng.normal(size=32)
    loss = dict(zip(FILLETS, 20 * level + rng.normal(size=32), strict=True))
    report = association_report(
        fractions(shares), loss, groups=FISH, within=PROTOCOL, measurement=LOSS
    )
    (pooled,) = report.select(metric="spearman")["value"]
    (within,) = report.select(metric="spearman_within").to_dict("records")
    assert pooled > 0.8
    assert within["ci_low"] < 0 < within["ci_high"]
    assert "freezing protocol moves both quantities" in report.notes[1]
    # The means of the bars with Student's interval.
    means = report.select(level="group").set_index("group")
    for name, row in means.iterrows():
        values = [loss[fillet] for fillet in FILLETS if PROTOCOL[fillet] == name]
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (row["value"], row["ci_low"], row["ci_high"]) == pytest.approx(
            (np.mean(values), low, high)
        )


def many_maps(rng):
    """Nine maps at two thresholds; only those of "good" follow the loss."""
    truth = rng.uniform(0.2, 0.7, 32)
    frames = [
        fractions(
            truth + 0.02 * rng.normal(size=32) if backbone == "good" else rng.uniform(0.2, 0.7, 32),
            (method, backbone, "last", threshold),
        )
        for backbone in ("good", "bad", "worse")
        for method in ("gradcam", "layercam", "scorecam")
        for threshold in ("fixed(0.3)", "fixed(0.5)")
    ]
    return pd.concat(frames), dict(zip(FILLETS, 30 * truth + rng.normal(size=32), strict=True))


def test_many_maps_are_corrected_for_and_drawn(tmp_path):
    damage, loss = many_maps(np.random.default_rng(2))
    overlaps = {
        (method, backbone): 0.3
        for method in ("gradcam", "layercam", "scorecam")
        for backbone in ("good", "bad", "worse")
    }
    report = association_report(
        *(damage, loss),
        groups=FISH,
        within=PROTOCOL,
        overlap=overlaps,
        measurement=LOSS,
        resamples=500,
    )
    rows = report.select(metric="spearman")
    assert len(rows) == 18
    assert (rows["p_holm"] >= rows["p_groups"]).all()
    # Holm multiplies the smallest by the number of tests.
    assert rows["p_holm"].min() == pytest.approx(18 * rows["p_groups"].min())
    significant = rows[rows["p_holm"] < 0.05]
    assert set(significant["backbone_a"]) == {"good"}
    assert "the largest of 18 combinations" in report.notes[0]
    names = [figure.name for figure in report.figures]
    assert names == [
        *("correlation", "subjects", "overlap-and-correlation", "thresholds"),
        *("measurement", "distribution"),
    ]
    (axes, _) = report.figures[0].draw().axes
    texts = {text.get_text().split("\n")[-1] for text in axes.texts}
    assert "***" in texts
    assert axes.images[0].get_array().shape == (3, 3)
    assert axes.images[0].get_array()[0].min() > 0.8
    report.save(tmp_path / "out")
    assert (tmp_path / "out" / "report.html").stat().st_size < 2_000_000


def test_overlaps_of_a_report_weigh_protocols_the_same():
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, shares, strict=True))
    # 11, 11 and 10 fillets of the three protocols, with IoU 0, 0.3 and 0.9.
    value = {"-5": 0.0, "-20": 0.3, "-40": 0.9}
    overlap = pd.DataFrame(
        [
            {"level": "subject", "subject": name, "method_a": "gradcam", "backbone_a": "vgg16"}
            | {"metric": "iou_foreground", "value": value[PROTOCOL[name]]}
            for name in FILLETS
        ]
    )
    report = association_report(fractions(shares), loss, within=PROTOCOL, overlap=overlap)
    figure = next(each for each in report.figures if each.name == "overlap-and-correlation")
    points = figure.draw().axes[0].collections[0].get_offsets()
    assert points.tolist() == [[pytest.approx(0.4), pytest.approx(1.0)]]
    # Of other thresholds and other rows of the table nothing is taken.
    more = overlap.assign(threshold_a="fixed(0.3)", value=5.0)
    both = pd.concat([overlap.assign(threshold_a="fixed(0.5)", scored="all"), more])
    again = association_report(fractions(shares), loss, within=PROTOCOL, overlap=both)
    figure = next(each for each in again.figures if each.name == "overlap-and-correlation")
    assert figure.draw().axes[0].collections[0].get_offsets()[0, 0] == pytest.approx(0.4)
    with pytest.raises(ReportError, match="at the threshold"):
        association_report(fractions(shares), loss, overlap=more)
    with pytest.raises(ReportError, match="hold no 'dice'"):
        association_report(fractions(shares), loss, overlap=overlap, overlap_metric="dice")


def overlap_point(report):
    figure = next(each for each in report.figures if each.name == "overlap-and-correlation")
    return figure.draw().axes[0].collections[0].get_offsets()[0, 0]


def test_overlaps_of_a_report_are_the_mean_over_its_units():
    names = FILLETS[:6]
    cases = []
    for k, name in enumerate(names):
        reference = blob(k)
        reference[1:] &= noise(k + 40)[1:] > 0.8  # units differ in size, so subjects weigh others
        cases.append(Case({("gradcam", "vgg16"): heatmap(noise(k))}, reference, subject=name))
    overlap = reference_report(cases, thresholds="fixed:0.5", resamples=0)
    of_units = overlap.select(level="unit", metric="iou_foreground", threshold_a="fixed(0.5)")[
        "value"
    ].mean()
    of_subjects = overlap.select(
        level="cohort", metric="iou_foreground_subject_mean", threshold_a="fixed(0.5)", scored="all"
    )["value"].item()
    assert abs(of_units - of_subjects) > 0.005
    shares = np.linspace(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, range(32), strict=True))
    report = association_report(fractions(shares), loss, overlap=overlap)
    assert overlap_point(report) == pytest.approx(of_units)
    without = reference_report(cases, thresholds="fixed:0.5", resamples=0, unit_metrics=())
    report = association_report(fractions(shares), loss, overlap=without)
    assert overlap_point(report) == pytest.approx(of_subjects)


def test_layers_of_one_network_have_overlaps_of_their_own():
    shares = np.linspace(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, range(32), strict=True))
    damage = pd.concat(
        [fractions(shares, ("gradcam", "vgg16", layer, "fixed(0.5)")) for layer in ("a", "b")]
    )
    row = {"level": "subject", "subject": FILLETS[0], "metric": "iou_foreground"}
    row |= {"method_a": "gradcam", "backbone_a": "vgg16"}
    overlap = pd.DataFrame([{**row, "layer_a": n, "value": v} for n, v in (("a", 0.2), ("b", 0.8))])
    report = association_report(damage, loss, overlap=overlap)
    figure = next(each for each in report.figures if each.name == "overlap-and-correlation")
    points = [each.get_offsets() for each in figure.draw().axes[0].collections]
    assert [float(each[0, 0]) for each in points if len(each)] == pytest.approx([0.2, 0.8])


def test_the_reference_is_what_the_distribution_shows():
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.1, 0.6, 32)
    both = pd.concat([fractions(shares), fractions(shares[::-1], ("reference", "", "", ""))])
    report = association_report(both, dict(zip(FILLETS, shares, strict=True)), within=PROTOCOL)
    assert "by the reference" in report.figures[-1].caption
    axes = report.figures[-1].draw().axes[0]
    heights = np.zeros(len(axes.patches))
    heights[:] = [patch.get_height() for patch in axes.patches]
    assert heights.sum() == pytest.approx(300)  # percent, three protocols
    assert len(axes.patches) == 3 * 50


def test_the_reference_is_not_picked_as_the_strongest_claim():
    rng = np.random.default_rng(3)
    shares = rng.uniform(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, shares, strict=True))  # follows the reference exactly
    maps = fractions(np.clip(shares + 0.2 * rng.normal(size=32), 0.05, 0.9))
    both = pd.concat([maps, fractions(shares, ("reference", "", "", ""))])
    report = association_report(both, loss)
    assert "for gradcam / vgg16 / last / fixed(0.5)." in report.notes[0]
    assert len(report.select(metric="spearman")) == 2


def test_one_group_has_no_interval_and_says_so():
    shares = np.linspace(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, range(32), strict=True))
    report = association_report(fractions(shares), loss, groups=dict.fromkeys(FILLETS, "one"))
    assert "no interval" in report.notes[0]
    assert "nan" not in report.summary()
    assert "nan" not in " ".join(each.caption for each in report.figures)


@pytest.mark.parametrize("nothing", [None, math.nan, ""])
def test_subjects_without_a_group_share_none(nothing):
    assert Case(heatmap(noise(1)), subject="a", group=nothing).group == "a"
    assert Case(heatmap(noise(1)), class_name=nothing).class_name == ""
    shares = np.linspace(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, range(32), strict=True))
    with pytest.raises(ReportError, match="2 subjects have a measurement but no entry"):
        association_report(
            fractions(shares), loss, groups=FISH | {FILLETS[0]: nothing, FILLETS[5]: nothing}
        )


def test_missing_subjects_are_counted():
    shares = np.linspace(0.1, 0.6, 32)
    loss: dict[str, float] = dict(zip(FILLETS[:20], range(20), strict=True))
    loss |= {"unseen": 3.0, FILLETS[20]: math.nan}
    report = association_report(fractions(shares), loss)
    assert report.select(metric="spearman")["n"].tolist() == [20]
    assert "12 subjects have no measurement and cannot be counted." in report.notes
    assert "1 subject has no heatmap and cannot be counted." in report.notes
    assert "taken for independent" in report.notes[1]


def test_few_groups_are_warned_of():
    shares = np.linspace(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, range(32), strict=True))
    four = {name: str(place % 4) for place, name in enumerate(FILLETS)}
    report = association_report(fractions(shares), loss, groups=four)
    assert "Fewer than 10 make intervals too narrow" in report.notes[1]


def test_a_table_of_former_words_is_taken_and_warned_of():
    shares, loss = fractions(np.linspace(0.1, 0.6, 32)), dict(zip(FILLETS, range(32), strict=True))
    now = association_report(shares, loss)
    with pytest.warns(DeprecationWarning, match="use 'share'"):
        found = association_report(shares.rename(columns={"share": "damage"}), loss)
    assert found.table.equals(now.table)
    with pytest.warns(DeprecationWarning, match="use 'shares'"):
        found = association_report(damage=shares, measurements=loss)
    assert found.table.equals(now.table)


def test_shares_that_do_not_vary_have_no_correlation():
    report = association_report(
        fractions(np.full(32, 0.2)), dict(zip(FILLETS, range(32), strict=True))
    )
    assert report.select(metric="spearman")["value"].isna().all()
    assert report.undefined == {}
    assert "–" in report.summary()
    assert "does not vary" in report.notes[0]


def test_what_does_not_fit_is_refused():
    shares = np.linspace(0.1, 0.6, 32)
    loss = dict(zip(FILLETS, range(32), strict=True))
    with pytest.raises(ReportError, match="Only 2 subjects"):
        association_report(fractions(shares), {FILLETS[0]: 1, FILLETS[1]: 2, "x": 3})
    with pytest.raises(ReportError, match="no entry in 'group'"):
        association_report(fractions(shares), loss, groups={FILLETS[0]: "a"})
    with pytest.raises(ReportError, match="a number for each subject"):
        association_report(fractions(shares), {FILLETS[0]: "much"})
    with pytest.raises(ReportError, match="infinite"):
        association_report(fractions(shares), {**loss, "x": math.inf})
    with pytest.raises(ReportError, match="a number for each subject"):
        association_report(fractions(shares), [1.0, 2.0])
    with pytest.raises(ReportError, match="no unit of any subject"):
        association_report(fractions(shares).iloc[:0], loss)
    with pytest.raises(ReportError, match="no column 'voxels'"):
        association_report(fractions(shares).drop(columns="voxels"), loss)
    with pytest.raises(ReportError, match=r"there are fixed\(0.5\)"):
        association_report(fractions(shares), loss, at="0.5")
    with pytest.raises(ReportError, match=r"\(method, backbone\)"):
        association_report(fractions(shares), loss, overlap={"gradcam": 0.3})
    with pytest.raises(ReportError, match="seed"):
        association_report(fractions(shares), loss, seed=-1)
    with pytest.raises(ReportError, match="'holm', 'bh' or 'none'"):
        association_report(fractions(shares), loss, correction="tukey")
