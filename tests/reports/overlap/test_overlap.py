"""The overlap report: against scikit-learn and plain loops, published numbers, hostile names."""

from __future__ import annotations

import gc
import re
import weakref
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, jaccard_score

from napari_cam.errors import MaskError, NapariCamError, ReportError
from napari_cam.grid import Grid
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.localisation import energy_inside, peak_inside
from napari_cam.reports.overlap.metrics import surface_distances
from napari_cam.reports.overlap.report import reference_report
from napari_cam.statistics import cluster_bootstrap, mean_of
from napari_cam.volumes.volume import Volume
from tests.reports.heatmaps import SHAPE, SPACING, blob, heatmap, noise
from tests.reports.page.test_report import HOSTILE

CUTS = (0.2, 0.4, 0.6, 0.8)
RULES = [f"fixed:{cut}" for cut in CUTS]


def cohort(n=6, classes=("a", "b"), **facts):
    return [
        Case(
            {
                ("gradcam", "resnet18", "layer4"): heatmap(noise(k)),
                ("scorecam", "resnet18", "layer4"): heatmap(noise(k + 50)),
            },
            blob(k) if k % 3 else blob(k + 100, 0.2),
            subject=f"subject {k}",
            group=f"group {k // 2}",
            class_name=classes[k % len(classes)],
            **facts,
        )
        for k in range(n)
    ]


def value(report, metric, **where):
    facts = {"level": "cohort", "scored": "all", "method_a": "gradcam"} | where
    rows = report.select(metric=metric, **facts)
    assert len(rows) == 1, rows
    return rows.iloc[0]


@pytest.fixture(scope="module")
def report():
    return reference_report(
        cohort(), thresholds=RULES, headline="fixed:0.4", folds=3, resamples=300, seed=5
    )


def unit_ious(case, cut, name="gradcam"):
    maps = {key[0]: item for key, item in case.maps.items()}
    mask = maps[name].values > np.float32(cut)
    return [jaccard_score(r.ravel(), m.ravel()) for r, m in zip(case.reference, mask, strict=True)]


@pytest.mark.parametrize("cut", CUTS)
def test_units_and_their_mean_agree_with_scikit_learn(report, cut):
    expected = {
        (case.subject, z): each for case in cohort() for z, each in enumerate(unit_ious(case, cut))
    }
    rows = report.select(
        level="unit", method_a="gradcam", threshold_a=f"fixed({cut})", metric="iou_foreground"
    )
    found = {(row.subject, row.unit): row.value for row in rows.itertuples()}
    assert found == pytest.approx(expected)
    mean = value(report, "iou_foreground_unit_mean", threshold_a=f"fixed({cut})")
    assert mean["value"] == pytest.approx(np.mean(list(expected.values())))
    assert (mean["n"], mean["undefined"]) == (24, 0)


def test_pooled_numbers_agree_with_scikit_learn(report):
    y = np.concatenate([case.reference.ravel() for case in cohort()])
    x = np.concatenate(
        [next(iter(case.maps.values())).values.ravel() > np.float32(0.6) for case in cohort()]
    )
    pooled = value(report, "iou_pooled_foreground", threshold_a="fixed(0.6)")["value"]
    assert pooled == pytest.approx(jaccard_score(y, x))
    both = value(report, "iou_pooled_background_foreground_mean", threshold_a="fixed(0.6)")["value"]
    assert both == pytest.approx(jaccard_score(y, x, average="macro"))
    micro = value(report, "iou_pooled_micro", threshold_a="fixed(0.6)")["value"]
    assert micro == pytest.approx(jaccard_score(y, x, average="micro", labels=[0, 1]))
    subjects = [
        jaccard_score(
            case.reference.ravel(), next(iter(case.maps.values())).values.ravel() > np.float32(0.6)
        )
        for case in cohort()
    ]
    mean = value(report, "iou_foreground_subject_mean", threshold_a="fixed(0.6)")["value"]
    assert mean == pytest.approx(np.mean(subjects))


def test_every_row_obeys_the_identity_of_the_published_dsc(report):
    means = report.select(metric="iou_pooled_background_foreground_mean")["value"].to_numpy()
    dsc = report.select(metric="dice_of_iou_pooled_background_foreground_mean")["value"].to_numpy()
    assert len(means) == len(dsc) > 10
    assert dsc == pytest.approx(2 * means / (1 + means))


def test_classes_are_reported_apart_and_averaged(report):
    by_class = [
        np.mean([unit_ious(case, 0.4) for case in cohort() if case.class_name == name])
        for name in ("a", "b")
    ]
    for name, expected in zip(("a", "b"), by_class, strict=True):
        row = value(
            report, "iou_foreground_unit_mean", threshold_a="fixed(0.4)", level="class", class_=name
        )
        assert row["value"] == pytest.approx(expected)
    macro = value(report, "iou_foreground_class_macro", threshold_a="fixed(0.4)")["value"]
    assert macro == pytest.approx(np.mean(by_class))


def test_kang_2021_table_4_is_weighted_by_images():
    # U-Net with VGG-16: IoU by class and images by class as published; .666 for all.
    counts = {"meningioma": (708, 824), "glioma": (1426, 545), "pituitary": (930, 732)}
    cases = []
    for name, (n, shared) in counts.items():
        mask = np.zeros((n, 1, 1000), bool)
        mask[..., :shared] = True
        cases.append(Case({"unet": mask}, np.ones(mask.shape, bool), subject=name, class_name=name))
    found = reference_report(cases, resamples=0, unit_metrics=(), surfaces=False)
    where = {"method_a": "unet", "threshold_a": "mask"}
    by_image = value(found, "iou_foreground_unit_mean", **where)
    assert by_image["value"] == pytest.approx(0.666, abs=0.0005)
    assert by_image["n"] == 3064
    macro = value(found, "iou_foreground_class_macro", **where)
    assert macro["value"] == pytest.approx(0.700, abs=0.0005)


def test_the_interval_is_that_of_drawing_whole_groups(report):
    values, groups = [], []
    for case in cohort():
        found = unit_ious(case, 0.4)
        values += found
        groups += [case.group] * len(found)
    expected = cluster_bootstrap(mean_of(values), len(values), groups, resamples=300, seed=5)
    row = value(report, "iou_foreground_unit_mean", threshold_a="fixed(0.4)")
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((expected.low, expected.high))


def test_the_threshold_is_chosen_without_the_groups_it_is_judged_on(report):
    cases = cohort()
    iou = {(case.subject, cut): np.array(unit_ious(case, cut)) for case in cases for cut in CUTS}
    judged = []
    for group in {case.group for case in cases}:  # three folds of three groups: each alone
        others = [case.subject for case in cases if case.group != group]
        best = max(CUTS, key=lambda cut: np.mean([iou[name, cut] for name in others]))
        judged += [iou[case.subject, best] for case in cases if case.group == group]
    row = value(report, "iou_foreground_unit_mean", threshold_a="out-of-fold")
    assert row["value"] == pytest.approx(np.mean(judged))
    means = [np.mean([iou[case.subject, cut] for case in cases]) for cut in CUTS]
    oracle = value(report, "iou_foreground_unit_mean", threshold_a="oracle")
    assert oracle["value"] == pytest.approx(max(means))
    assert row["value"] <= oracle["value"]
    chosen = report.provenance["chosen"]["resnet18 / gradcam / layer4"]
    assert len(chosen["by_fold"]) == 3
    assert chosen["groups_by_fold"] == [1, 1, 1]
    assert "group 0" not in str(report.provenance)
    assert "oracle" in " ".join(report.notes)


def test_one_group_chooses_nothing_out_of_fold():
    found = reference_report(heatmap(noise(1)), blob(1), thresholds=RULES)
    assert "out-of-fold" not in set(found.table["threshold_a"])
    assert "oracle" in set(found.table["threshold_a"])
    assert any("one group" in note for note in found.notes)
    assert found.select(level="cohort")["ci_low"].isna().all()


def test_soft_metrics_agree_with_their_oracles(report):
    case = cohort()[1]
    heat, reference = next(iter(case.maps.values())).values, case.reference
    rows = report.select(level="unit", subject="subject 1", method_a="gradcam", threshold_a="")
    for z in range(SHAPE[0]):
        of_unit = rows[rows["unit"] == z].set_index("metric")["value"]
        ap = average_precision_score(reference[z].ravel(), heat[z].ravel())
        assert of_unit["average_precision"] == pytest.approx(ap)
        assert of_unit["peak_inside"] == peak_inside(heat[z], reference[z])
        assert of_unit["energy_inside"] == pytest.approx(energy_inside(heat[z], reference[z]))
        shared = np.minimum(heat[z], reference[z]).sum() / np.maximum(heat[z], reference[z]).sum()
        assert of_unit["soft_iou"] == pytest.approx(shared, rel=1e-5)
    assert value(report, "peak_inside", threshold_a="")["n"] == 24


def test_surfaces_and_volumes_of_a_subject(report):
    case = cohort()[2]
    mask = next(iter(case.maps.values())).values > np.float32(0.4)
    expected = surface_distances(mask, case.reference, Grid.plain(SHAPE, SPACING, "mm"))
    where = {"level": "subject", "subject": "subject 2", "method_a": "gradcam"}
    where |= {"threshold_a": "fixed(0.4)"}
    for name, each in expected.items():
        assert report.select(metric=name, **where)["value"].tolist() == pytest.approx([each])
    n_mask, n_reference = int(mask.sum()), int(case.reference.sum())
    ml = report.select(metric="volume_difference_ml", **where)["value"].tolist()
    assert ml == pytest.approx([(n_mask - n_reference) * 3.0 * 0.5 * 0.8 / 1000])
    relative = report.select(metric="volume_difference_relative", **where)["value"].tolist()
    assert relative == pytest.approx([n_mask / n_reference - 1])
    assert report.select(metric="hd95", level="subject")["threshold_a"].unique() == ["fixed(0.4)"]


@pytest.mark.parametrize("empty", [np.nan, 0.0, 1.0])
def test_two_empty_masks_count_as_asked_and_are_counted(empty):
    values = noise(3)
    values[0] = 0  # no evidence, and nothing to find in slices 0 and 1
    reference = blob(3)
    reference[:2] = False
    found = reference_report(
        heatmap(values, valid=[False, True, True, True]), reference, thresholds="fixed:0.5",
        empty=empty,
    )  # fmt: skip
    rows = found.select(level="unit", metric="iou_foreground")["value"].to_numpy()
    assert rows[0] == pytest.approx(empty, nan_ok=True)
    assert rows[1] == 0
    mean = value(found, "iou_foreground_unit_mean", method_a="map")
    kept = rows[~np.isnan(rows)]
    assert mean["value"] == pytest.approx(kept.mean())
    assert mean["undefined"] == int(np.isnan(empty))
    assert ("undefined" in found.policy) == np.isnan(empty)
    share = value(found, "share_iou_at_most_0.01", method_a="map")["value"]
    assert share == pytest.approx((kept <= 0.01).mean())


def test_correct_units_are_reported_beside_all():
    reference = blob(4)
    reference[3] = False
    # Slice 0 recognised, 1 missed, 2 recognised, 3 a false alarm.
    found = reference_report(
        heatmap(noise(4), predicted=[1, 0, 1, 1]), reference, thresholds="fixed:0.5"
    )
    mask = noise(4) > 0.5
    ious = [jaccard_score(reference[z].ravel(), mask[z].ravel(), zero_division=0) for z in range(4)]
    where = {"method_a": "map", "metric": "iou_foreground_unit_mean"}
    assert value(found, **where)["value"] == pytest.approx(np.mean(ious))
    right = value(found, scored="correct", **where)
    assert right["value"] == pytest.approx(np.mean([ious[0], ious[2]]))
    assert right["n"] == 2
    stated = reference_report(
        Case(heatmap(noise(4)), reference, correct=[True, False, False, False]),
        thresholds="fixed:0.5",
    )
    assert value(stated, scored="correct", **where)["value"] == pytest.approx(ious[0])


def test_only_foreground_that_the_network_saw_counts():
    values, reference = noise(6), blob(6)
    foreground = np.zeros(SHAPE, bool)
    foreground[1:, 2:9, 3:] = True
    inside = np.zeros(SHAPE, bool)
    inside[:, :, :10] = True
    one = reference_report(
        heatmap(values, inside=inside), reference, foreground=foreground, thresholds="fixed:0.5"
    )
    counted = foreground & inside
    y, x = reference[counted], values[counted] > np.float32(0.5)
    found = value(one, "iou_pooled_foreground", method_a="map")
    assert found["value"] == pytest.approx(jaccard_score(y, x))
    assert found["n"] == counted.sum()
    assert sorted(one.select(level="unit")["unit"].unique()) == [1, 2, 3]
    unseen = int((reference & ~inside).sum())
    assert any(note.startswith(f"{unseen} of {reference.sum()}") for note in one.notes)
    # A voxel counts once, however many maps there are.
    maps = {name: heatmap(values, inside=inside) for name in ("a", "b", "c")}
    many = reference_report(maps, reference, thresholds="fixed:0.5", resamples=0)
    assert any(note.startswith(f"{unseen} of {reference.sum()} ") for note in many.notes)


def test_shares_are_a_soft_reference():
    shares = noise(8)
    found = reference_report(heatmap(noise(9)), shares, thresholds="fixed:0.5")
    hard = reference_report(heatmap(noise(9)), shares > 0.5, thresholds="fixed:0.5")
    for metric in ("iou_pooled_foreground", "average_precision_unit_mean"):
        one, two = (value(each, metric, method_a="map")["value"] for each in (found, hard))
        assert one == two
    soft = value(found, "soft_dice_unit_mean", method_a="map")["value"]
    heat = noise(9).astype(float)
    expected = [
        2 * np.minimum(h, r).sum() / (h.sum() + r.sum()) for h, r in zip(heat, shares, strict=True)
    ]
    assert soft == pytest.approx(np.mean(expected))


def test_at_least_keeps_what_equals_the_cut():
    values = np.full((1, 2, 4), 0.5, np.float32)
    values[0, 0, 0] = 1
    reference = values == 1
    for strict, expected in ((True, 1.0), (False, 1 / 8)):
        found = reference_report(heatmap(values), reference, thresholds="fixed:0.5", strict=strict)
        assert value(found, "iou_pooled_foreground", method_a="map")["value"] == expected


def test_a_volume_is_one_unit_of_a_3d_network():
    found = reference_report(heatmap(noise(2), axis=None), blob(2), thresholds="fixed:0.5")
    assert found.select(level="unit", metric="iou_foreground")["unit"].tolist() == [0]
    one = value(found, "iou_foreground_unit_mean", method_a="map")["value"]
    assert one == value(found, "iou_pooled_foreground", method_a="map")["value"]


def test_cases_are_held_one_at_a_time():
    alive: list[weakref.ref[Case]] = []

    def cases():
        for case in (cohort(k + 1)[k] for k in range(6)):
            # The first stays for its picture's sake, two while one is handed on.
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 3
            alive.append(weakref.ref(case))
            yield case
            del case

    assert len(reference_report(cases(), thresholds=RULES, resamples=0).table)


def test_tick_is_called_for_each_map_and_may_end_the_report():
    calls = []
    reference_report(cohort(2), thresholds=RULES, resamples=0, tick=lambda: calls.append(1))
    assert len(calls) == 4

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reference_report(cohort(2), tick=stop)


def test_training_subjects_come_first_in_the_notes():
    known = reference_report(
        cohort(3), thresholds=RULES, resamples=0, trained_on=lambda subject: subject == "subject 1"
    )
    assert known.notes[0].startswith("The network was trained on 1 of the 3 subjects;")
    unknown = reference_report(cohort(3), thresholds=RULES, resamples=0, trained_on=lambda _: None)
    assert "not known" in unknown.notes[0]


def test_maps_of_one_name_are_told_apart():
    facts = {"method": {"name": "gradcam"}, "model": {"architecture": "resnet18"}, "layer": "l"}
    maps = {"one": heatmap(noise(1), **facts), "two": heatmap(noise(2), **facts)}
    found = reference_report(maps, blob(1), thresholds="fixed:0.5", resamples=0)
    assert set(found.select(level="cohort")["method_a"]) == {"gradcam", "two"}
    assert set(found.select(level="cohort")["backbone_a"]) == {"resnet18"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: reference_report(heatmap(noise(1)), blob(1)[:, 1:]), r"\(4, 10, 13\)"),
        (lambda: reference_report(heatmap(noise(1))), "no reference"),
        (lambda: reference_report({}, blob(1)), "no maps"),
        (lambda: reference_report([]), "no cases"),
        (lambda: reference_report("map.nii"), "not str"),
        (lambda: reference_report([heatmap(noise(1))]), "not Heatmap"),
        (lambda: reference_report(cohort(1), blob(1)), "its own reference"),
        (lambda: reference_report({"a": noise(1)}, blob(1)), "float32"),
        (lambda: reference_report(heatmap(noise(1)), 3 * blob(1).astype(int)), "which label"),
        (lambda: reference_report(heatmap(noise(1)), blob(1), thresholds="half"), "threshold rule"),
        (lambda: reference_report(heatmap(noise(1)), blob(1), thresholds=[None]), "no threshold"),
        (lambda: reference_report(heatmap(noise(1)), blob(1), folds=1), "two folds"),
        (
            lambda: reference_report(heatmap(noise(1)), blob(1), thresholds="otsu:cohort"),
            "one at a time",
        ),
        (lambda: reference_report(heatmap(noise(1), kind="raw"), blob(1)), "normalised"),
        (
            lambda: reference_report(heatmap(noise(1)), blob(1), foreground=np.zeros(SHAPE, bool)),
            "No voxel",
        ),
        (
            lambda: reference_report(
                heatmap(noise(1)), blob(1), foreground=np.zeros(SHAPE, np.uint8)
            ),
            "not boolean",
        ),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises((ReportError, MaskError), match=message) as caught:
        make()
    assert isinstance(caught.value, NapariCamError)


def test_another_grid_is_refused_with_both_geometries():
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 3.0, -0.5, -0.8, 1.0
    moved = affine.copy()
    moved[0, 3] = 40
    here = replace(heatmap(noise(1)), grid=Grid(SHAPE, affine, "SPL"))
    there = Volume(blob(1), Grid(SHAPE, moved, "SPL"))
    with pytest.raises(
        ReportError, match=r"3 x 0.5 x 0.8 mm, SPL from \(0, 0, 0\) but .* SPL from \(40, 0, 0\)"
    ):
        reference_report(here, there)
    assert len(reference_report(here, Volume(blob(1), here.grid)).table)


def test_figures_keep_the_order_of_maps_and_classes():
    methods, networks = ("z", "a", "m", "b"), ("y", "c", "x")
    cases = [
        Case(
            {(m, b, "l"): heatmap(noise(10 * i + j + k)) for j, b in enumerate(networks)
             for i, m in enumerate(methods)},
            blob(k),
            subject=str(k),
            class_name=("fresh", "-5", "-40")[k],
        )
        for k in range(3)
    ]  # fmt: skip
    found = reference_report(cases, resamples=0, soft=False, surfaces=False, unit_metrics=())
    figures = {each.name: each for each in found.figures}
    curves = figures["threshold-curves"].draw()
    titles = [axes.get_title() for axes in curves.axes]
    assert titles == [f"{b}, {name}" for b in networks for name in ("fresh", "-5", "-40")]
    assert [text.get_text() for text in curves.legends[0].get_texts()] == list(methods)
    assert "The first 9 of 12 maps" in figures["iou-histogram"].caption
    assert figures["overlay"].caption.startswith("y / z: green")


def test_hostile_names_go_through_the_whole_report(tmp_path):
    names = [name for name in HOSTILE if name]
    cases = [
        Case(
            {MapName(f"{name}m", f"{name}b", name): heatmap(noise(k)) for name in names[k : k + 3]},
            blob(k),
            subject=name,
            class_name=name,
        )
        for k, name in enumerate(names[:6])
    ]
    found = reference_report(cases, thresholds=RULES[:2], headline=RULES[0], resamples=20)
    page = found.save(tmp_path / "r").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r"<[^>]+ on\w+=", page)
    assert "http" not in re.sub(r'src="data:[^"]*"|http-equiv', "", page).replace(
        "http://example.org", ""
    )
    for path in (tmp_path / "r").rglob("*"):
        assert re.fullmatch(r"[a-z0-9.-]+", path.name)


def test_a_cohorts_page_stays_small(tmp_path):
    cases = (
        Case(
            {
                (method, backbone, "l"): heatmap(noise(hash((k, method, backbone)) % 10_000))
                for method in ("gradcam", "gradcam++", "layercam", "scorecam", "faster-scorecam")
                for backbone in ("a", "b", "c", "d", "e", "f")
            },
            blob(k),
            subject=f"fillet {k}",
            group=f"fish {k // 2}",
            class_name=("-5 C", "-20 C", "-40 C")[k % 3],
        )
        for k in range(32)
    )
    found = reference_report(cases, resamples=50, soft=False, surfaces=False, unit_metrics=())
    assert len(found.html()) <= 10_000_000
