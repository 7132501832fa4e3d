"""The agreement report: plain loops, SciPy's tests, and what agreement must fulfil."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import jaccard_score

from napari_cam.errors import ReportError
from napari_cam.reports.agreement.figures import _title
from napari_cam.reports.agreement.report import agreement_report
from napari_cam.reports.cases.case import Case
from napari_cam.statistics import Comparison
from tests.reports.heatmaps import SHAPE, heatmap, noise

METHODS = ("gradcam", "gradcam++", "layercam", "scorecam", "faster-scorecam")
BACKBONES = ("densenet121", "inceptionv3", "inceptionv4", "resnet50", "vgg16", "xception")
# Each network names its layers in its own way.
LAYERS = dict(
    zip(BACKBONES, ("norm5", "Mixed_7c", "conv", "layer4", "features.29", "act4"), strict=True)
)


def values_of(k, method, backbone):
    seeds = 100 * k + 10 * METHODS.index(method), 100 * k + 50 + BACKBONES.index(backbone)
    return ((noise(seeds[0]) + noise(seeds[1])) / 2).astype(np.float32)


def cohort(n=5, methods=METHODS[:3], backbones=BACKBONES[:4]):
    return [
        Case(
            {
                (method, backbone, LAYERS[backbone]): heatmap(values_of(k, method, backbone))
                for method in methods
                for backbone in backbones
            },
            subject=f"fillet {k}",
            group=f"fish {k}",
        )
        for k in range(n)
    ]


@pytest.fixture(scope="module")
def report():
    return agreement_report(
        cohort(), thresholds=["fixed:0.4", "fixed:0.6"], headline="fixed:0.6", resamples=200
    )


def plain_phi(case, cut, fixed):
    """Return phi of every slice as the formula is written, by what is fixed."""
    place = 1 if fixed == "backbone" else 0
    found = {}
    for name in dict.fromkeys(key[place] for key in case.maps):
        masks = [
            item.values > np.float32(cut) for key, item in case.maps.items() if key[place] == name
        ]
        found[name] = [
            np.mean([jaccard_score(a[z].ravel(), b[z].ravel()) for a, b in combinations(masks, 2)])
            for z in range(SHAPE[0])
        ]
    return found


@pytest.mark.parametrize(("phi", "fixed"), [("phi_m", "backbone"), ("phi_c", "method")])
@pytest.mark.parametrize("cut", [0.4, 0.6])
def test_phi_of_every_slice_is_that_of_the_formula(report, phi, fixed, cut):
    for case in cohort():
        for name, expected in plain_phi(case, cut, fixed).items():
            rows = report.select(
                level="unit", metric=phi, subject=case.subject, threshold_a=f"fixed({cut})"
            )
            rows = rows[rows[f"{fixed}_a"] == name]
            assert rows["value"].tolist() == pytest.approx(expected)


def test_five_methods_make_ten_pairs_and_six_networks_fifteen():
    found = agreement_report(cohort(1, METHODS, BACKBONES), thresholds="fixed:0.5", ranks=False)
    assert set(found.select(level="unit", metric="phi_m")["n"]) == {10}
    assert set(found.select(level="unit", metric="phi_c")["n"]) == {15}
    assert len(found.select(metric="iou_pair_unit_mean")) == 30 * 29 // 2


def test_quartiles_and_mean_of_all_units(report):
    values = np.concatenate([plain_phi(case, 0.6, "backbone")["resnet50"] for case in cohort()])
    where = {"level": "cohort", "backbone_a": "resnet50", "threshold_a": "fixed(0.6)"}
    for name, expected in {
        "phi_m_unit_mean": values.mean(),
        "phi_m_unit_median": np.median(values),
        "phi_m_unit_lower_quartile": np.quantile(values, 0.25),
        "phi_m_unit_upper_quartile": np.quantile(values, 0.75),
    }.items():
        assert report.select(metric=name, **where)["value"].tolist() == pytest.approx([expected])
    row = report.select(metric="phi_m_unit_mean", **where).iloc[0]
    assert row["ci_low"] <= row["value"] <= row["ci_high"]


def test_tests_agree_with_scipy(report):
    phi = [plain_phi(case, 0.6, "backbone") for case in cohort()]
    names = list(phi[0])
    kruskal = stats.kruskal(*(np.concatenate([each[name] for each in phi]) for name in names))
    rows = report.select(metric="kruskal_wallis_phi_m_chi2", threshold_a="fixed(0.6)")
    assert rows["value"].tolist() == pytest.approx([kruskal.statistic])
    assert rows["p"].tolist() == pytest.approx([kruskal.pvalue])
    assert rows["n"].tolist() == [4 * 5 * SHAPE[0]]
    friedman = stats.friedmanchisquare(*([np.mean(each[name]) for each in phi] for name in names))
    rows = report.select(metric="friedman_phi_m_chi2", threshold_a="fixed(0.6)")
    assert rows["value"].tolist() == pytest.approx([friedman.statistic])
    assert rows["p"].tolist() == pytest.approx([friedman.pvalue])
    assert rows["n"].tolist() == [5]
    posthoc = report.select(metric="posthoc_phi_m_median_difference", threshold_a="fixed(0.6)")
    assert len(posthoc) == 6
    one = posthoc.iloc[0]
    differences = [np.mean(e[one["backbone_a"]]) - np.mean(e[one["backbone_b"]]) for e in phi]
    assert one["value"] == pytest.approx(np.median(differences))
    assert "χ²(3)" in report_title(report)


def report_title(report):
    figure = next(each for each in report.figures if each.name == "phi_m-boxes").draw()
    return " ".join(axes.get_title() for axes in figure.axes)


def test_titles_print_the_tests_as_published():
    # Figures 5A and B of Sci Rep 2023, 13:2574: chi-square of 6 networks and of 5 methods.
    for statistic, df in ((1793.2, 5), (988.9, 4)):
        p = stats.chi2.sf(statistic, df)
        names = tuple("abcdef"[: df + 1])
        found = Comparison(
            "Kruskal-Wallis", statistic, df, p, 0.4, "epsilon squared", 4512, names, (0.5,) * 6
        )
        assert f"Kruskal-Wallis χ²({df}) = {statistic}, p < .001" in _title("0.5", (found, None))


def test_agreement_does_not_depend_on_the_order_of_maps():
    maps = {(m, b): heatmap(values_of(3, m, b)) for m in METHODS[:3] for b in BACKBONES[:2]}
    one, two = (
        agreement_report(given, thresholds="fixed:0.5", resamples=0)
        for given in (maps, dict(reversed(maps.items())))
    )
    for metric in ("phi_m", "phi_c"):
        first, second = (
            each.select(metric=metric, level="unit").sort_values(["method_a", "backbone_a", "unit"])
            for each in (one, two)
        )
        assert first["value"].tolist() == pytest.approx(second["value"].tolist())
    pairs = [
        {
            frozenset([(row.method_a, row.backbone_a), (row.method_b, row.backbone_b)]): row.value
            for row in each.select(metric="iou_pair_unit_mean").itertuples()
        }
        for each in (one, two)
    ]
    assert pairs[0] == pytest.approx(pairs[1])
    assert len(pairs[0]) == 6 * 5 // 2


def test_rank_correlation_agrees_with_scipy(report):
    case = cohort()[0]
    (a, one), (b, two) = list(case.maps.items())[:2]
    expected = []
    for each in cohort():
        one, two = each.maps[a], each.maps[b]
        expected += [
            stats.spearmanr(one.values[z].ravel(), two.values[z].ravel()).statistic
            for z in range(SHAPE[0])
        ]
    rows = report.select(metric="spearman_pair_unit_mean", method_a=a[0], backbone_a=a[1])
    rows = rows[(rows["method_b"] == b[0]) & (rows["backbone_b"] == b[1])]
    assert rows["value"].tolist() == pytest.approx([np.mean(expected)])


def test_the_same_maps_agree_wholly_and_disjoint_ones_not():
    values = noise(1)
    same = {(method, "resnet18"): heatmap(values) for method in METHODS}
    found = agreement_report(same, thresholds="fixed:0.5", resamples=0)
    assert set(found.select(metric="phi_m")["value"]) == {1.0}
    assert found.select(metric="iou_pair_unit_mean")["value"].tolist() == [1.0] * 10
    assert found.select(metric="spearman_pair_unit_mean")["value"].tolist() == pytest.approx(
        [1] * 10
    )
    apart = {("a", "net"): heatmap(values), ("b", "net"): heatmap(1 - values)}
    found = agreement_report(apart, thresholds="fixed:0.6", resamples=0)
    assert set(found.select(metric="phi_m")["value"]) == {0.0}
    assert found.select(metric="spearman_pair_unit_mean")["value"].tolist() == pytest.approx([-1])


@pytest.mark.parametrize("empty", [np.nan, 0.0, 1.0])
def test_a_pair_of_empty_masks_counts_as_asked(empty):
    one, two = noise(1), noise(2)
    one[0] = two[0] = 0
    maps = {("a", "net"): heatmap(one), ("b", "net"): heatmap(two)}
    found = agreement_report(maps, thresholds="fixed:0.5", empty=empty, resamples=0)
    rows = found.select(metric="phi_m", level="unit").sort_values("unit")
    assert rows["value"].iloc[0] == pytest.approx(empty, nan_ok=True)
    assert rows["undefined"].iloc[0] == int(np.isnan(empty))
    flat = found.select(metric="spearman_pair_unit_mean").iloc[0]
    assert (flat["n"], flat["undefined"]) == (3, 1)


def test_networks_are_compared_although_their_layers_differ(report):
    assert set(report.select(metric="phi_c", level="unit")["method_a"]) == set(METHODS[:3])
    assert set(report.select(metric="phi_c", level="unit")["layer_a"]) == {""}
    pair = report.select(metric="iou_pair_unit_mean").iloc[0]
    assert pair["layer_a"] == "norm5"  # told where single maps are meant


def test_several_layers_of_a_network_are_kept_apart():
    maps = {
        (method, "resnet18", layer): heatmap(noise(10 * a + b))
        for a, method in enumerate(("gradcam", "layercam"))
        for b, layer in enumerate(("layer3", "layer4"))
    }
    found = agreement_report(maps, thresholds="fixed:0.5", resamples=0, ranks=False)
    rows = found.select(metric="phi_m", level="unit", unit=0)
    assert sorted(rows["layer_a"]) == ["layer3", "layer4"]
    assert set(rows["n"]) == {1}


def test_maps_that_agree_stand_together():
    alike, other = noise(1), noise(2)
    maps = {
        ("a", "n"): heatmap(alike),
        ("b", "n"): heatmap(other),
        ("c", "n"): heatmap(np.clip(alike + 0.02, 0, 1)),
        ("d", "n"): heatmap(np.clip(other + 0.02, 0, 1)),
    }
    order = agreement_report(maps, thresholds="fixed:0.5", resamples=0).provenance["order"]
    methods = [each.split(" / ")[1] for each in order]
    assert abs(methods.index("a") - methods.index("c")) == 1
    assert abs(methods.index("b") - methods.index("d")) == 1


def test_consensus_and_disagreement_are_counted():
    maps = {(str(k), "n"): heatmap(noise(k)) for k in range(4)}
    found = agreement_report(maps, thresholds="fixed:0.5", resamples=0)
    share = np.mean([noise(k) > 0.5 for k in range(4)], axis=0)
    assert found.arrays["consensus"] == pytest.approx(share)
    assert found.arrays["disagreement"][share == 0.5].tolist() == [1] * int((share == 0.5).sum())
    assert found.arrays["disagreement"][share == 0.25] == pytest.approx(0.75)


@pytest.mark.parametrize(("axis", "pixel"), [(0, 0.5 / 0.8), (1, 3 / 0.8), (2, 3 / 0.5)])
def test_the_consensus_of_a_slice_is_drawn_as_it_lies(axis, pixel):
    maps = {(str(k), "n"): heatmap(noise(k), axis=axis) for k in range(3)}
    found = agreement_report(maps, thresholds="fixed:0.5", resamples=0)
    (figure,) = [each.draw() for each in found.figures if each.name == "consensus"]
    share = np.mean([noise(k) > 0.5 for k in range(3)], axis=0)
    number = np.moveaxis(share, axis, 0).sum((1, 2)).argmax()
    shown = figure.axes[0]
    assert shown.get_aspect() == pytest.approx(pixel)
    np.testing.assert_allclose(shown.images[0].get_array(), share.take(number, axis), rtol=1e-6)


def test_only_where_all_networks_looked():
    inside = np.ones(SHAPE, bool)
    inside[:, :, 8:] = False
    maps = {("a", "n"): heatmap(noise(1), inside=inside), ("b", "n"): heatmap(noise(2))}
    found = agreement_report(maps, thresholds="fixed:0.5", resamples=0)
    a, b = (noise(k)[:, :, :8] > 0.5 for k in (1, 2))
    expected = [jaccard_score(one.ravel(), two.ravel()) for one, two in zip(a, b, strict=True)]
    assert found.select(metric="phi_m", level="unit")["value"].tolist() == pytest.approx(expected)


def test_a_mask_is_the_same_at_every_threshold():
    maps = {("a", "n"): heatmap(noise(1)), ("hand", "n"): noise(2) > 0.5}
    found = agreement_report(maps, thresholds=["fixed:0.3", "fixed:0.5"], resamples=0)
    rows = found.select(metric="phi_m", level="unit", threshold_a="fixed(0.3)")
    expected = [
        jaccard_score((noise(1)[z] > np.float32(0.3)).ravel(), (noise(2)[z] > 0.5).ravel())
        for z in range(SHAPE[0])
    ]
    assert rows["value"].tolist() == pytest.approx(expected)


def test_what_does_not_fit_is_named():
    with pytest.raises(ReportError, match="two or more"):
        agreement_report(heatmap(noise(1)))
    maps = {"a": heatmap(noise(1)), "b": heatmap(noise(1), axis=None)}
    with pytest.raises(ReportError, match="other slices"):
        agreement_report(maps)


def test_the_report_is_written_and_warns(tmp_path, report):
    page = report.save(tmp_path / "r").read_text(encoding="utf-8")
    assert "not thereby right" in page
    assert "too small" in page
    assert len(list((tmp_path / "r" / "figures").glob("*.png"))) == 7
