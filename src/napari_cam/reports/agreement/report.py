"""The agreement report: whether CAM methods agree with each other, and whether networks do.

After Sci Rep 2023, 13:2574: phi_m is the mean IoU over all pairs of CAM methods with the network m
fixed, phi_c that over all pairs of networks with the method c fixed, one value for each unit and
threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from napari_cam.errors import ReportError
from napari_cam.masks.rules import ThresholdRule
from napari_cam.provenance import stamp
from napari_cam.reports.agreement.figures import ConsensusMaps, agreement_figures
from napari_cam.reports.agreement.pair_scores import PairScores, pair_scores
from napari_cam.reports.agreement.tables import (
    PHIS,
    Phi,
    Tests,
    agreement_tables,
    condition_label,
    pair_matrix,
)
from napari_cam.reports.cases import MapName, as_cases, plainest
from napari_cam.reports.overlap.aggregate import Intervals
from napari_cam.reports.overlap.report import CURVE, chosen_rules
from napari_cam.reports.page.report import Report
from napari_cam.reports.page.tables import counted, tidy
from napari_cam.statistics import (
    Comparison,
    cluster_bootstrap,
    friedman,
    kruskal_wallis,
    ratio_of,
)

Floats = NDArray[np.float64]
Condition = tuple[str, str, str]  # method, backbone, layer; what is not fixed is ""

_FEWEST_SUBJECTS = 2


def agreement_report(
    cases: Any,
    *,
    foreground: NDArray[np.bool_] | None = None,
    thresholds: ThresholdRule | str | Sequence[ThresholdRule | str] = CURVE,
    headline: ThresholdRule | str = "fixed:0.5",
    strict: bool = True,
    empty: float = np.nan,
    ranks: bool = True,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    title: str = "Agreement of maps",
    tick: Callable[[], None] | None = None,
) -> Report:
    """Compare maps with each other.

    Parameters
    ----------
    cases
        Maps by name, or a :class:`Case` for each subject; references are not needed. Maps are told
        apart by method, backbone and layer: pairs of one backbone make phi_m, pairs of one method
        and layer phi_c.
    foreground
        (z, y, x) bool, where voxels count. Of what is no case.
    thresholds, headline, strict
        As in :func:`reference_report`.
    empty
        What a pair of two empty masks counts as: NaN (left out and counted), 0.0, or 1.0 as the
        code of Sci Rep 2023, 13:2574 does.
    ranks
        Whether Spearman's correlation of the heatmaps is computed too.
    resamples, confidence, seed
        Of the intervals, which draw whole groups.
    title
        Heading of the report.
    tick
        Called after each map; an exception in it ends the report.

    Returns
    -------
    Report
        Of kind "agreement": phi of units, subjects and cohort; every pair (`iou_pair_unit_mean`,
        `spearman_pair_unit_mean`); Kruskal-Wallis over units as published, and beside it Friedman
        over groups with Wilcoxon's test of every pair, corrected by Holm. Its `arrays` hold the
        consensus and disagreement of the first subject's maps at the headline threshold.

    Raises
    ------
    ReportError
        Where a subject has fewer than two maps, or maps of different grids.
    """
    rules, first = chosen_rules(thresholds, headline)
    how = _Intervals(resamples, confidence, seed)
    found: list[PairScores] = []
    for case in as_cases(cases, foreground=foreground):
        found.append(
            pair_scores(
                case,
                rules,
                first,
                strict=strict,
                empty=empty,
                ranks=ranks,
                votes=not found,
                tick=tick,
            )
        )
    if not any(len(each.unit) for each in found):
        raise ReportError(
            "No voxel can be compared: the foreground lies where not all networks saw; give "
            "another one."
        )
    names = tuple(dict.fromkeys(name for each in found for name in each.names))
    rule_names = tuple(rule.name for rule in rules)
    called = plainest(names)
    units = _phi_rows(found, rule_names, called)
    pairs = _pair_rows(found, rule_names, how)
    tests, compared = _tests(units, rule_names)
    table = tidy(
        pd.concat(
            [units, _phi_subjects(units), _phi_totals(units, how), pairs, tests], ignore_index=True
        )
    )
    order = _clustered(pairs, names, first.name)
    arrays = _consensus(found[0])
    shown = ConsensusMaps(arrays, found[0].axis, found[0].grid)
    return Report(
        table=table,
        kind="agreement",
        title=title,
        notes=_notes(found, names, compared),
        provenance=stamp(
            kind="agreement report",
            thresholds=list(rule_names),
            headline=first.name,
            strict=strict,
            empty="undefined" if np.isnan(empty) else empty,
            bootstrap={"resamples": resamples, "confidence": confidence, "seed": seed}
            | {"unit": "group"},
            order=[each.label for each in order],
            maps=[each.label for each in names],
            subjects=len({each.subject for each in found}),
        ),
        figures=agreement_figures(table, order, called, first.name, compared, shown),
        tables=agreement_tables(table, order, called, first.name, compared),
        empty=empty,
        arrays=arrays,
    )


@dataclass(frozen=True)
class _Intervals(Intervals):
    def mean(self, values: Floats, groups: NDArray[Any]) -> tuple[float, float, float]:
        """Return the mean of values with its interval, whole groups drawn."""
        known = ~np.isnan(values)
        names, place = np.unique(groups.astype(str), return_inverse=True)
        total = np.bincount(place, np.where(known, values, 0), len(names))
        count = np.bincount(place, known, len(names)).astype(float)
        if self.resamples < 1 or not known.any():
            mean = float(total.sum() / count.sum()) if known.any() else np.nan
            return mean, np.nan, np.nan
        kept = count > 0
        interval = cluster_bootstrap(
            ratio_of(total[kept], count[kept]),
            int(kept.sum()),
            resamples=self.resamples,
            confidence=self.confidence,
            seed=self.seed,
        )
        return interval.value, interval.low, interval.high


def _conditions(names: Sequence[MapName], phi: Phi) -> dict[Condition, list[int]]:
    """Return which maps share the backbone (phi_m) or method (phi_c), and the layer if named."""
    found: dict[Condition, list[int]] = {}
    for place, name in enumerate(names):
        key = ("", name.backbone, name.layer) if phi == "phi_m" else (name.method, "", name.layer)
        found.setdefault(key, []).append(place)
    return {key: places for key, places in found.items() if len(places) > 1}


def _phi_rows(
    found: Sequence[PairScores], rules: Sequence[str], called: Mapping[MapName, MapName]
) -> pd.DataFrame:
    """Return phi of every unit, with how many pairs it is the mean of."""
    blocks = []
    for each in found:
        pairs = np.array(each.pairs)
        names = [called[name] for name in each.names]
        for phi in PHIS:
            for (method, backbone, layer), places in _conditions(names, phi).items():
                chosen = np.isin(pairs, places).all(axis=1)
                iou = each.iou[:, chosen]
                known = ~np.isnan(iou)
                n = known.sum(axis=1)
                total = np.where(known, iou, 0).sum(axis=1)
                value = np.where(n > 0, total / np.maximum(n, 1), np.nan)
                shape = value.shape
                blocks.append(
                    pd.DataFrame(
                        {
                            "level": "unit",
                            "subject": each.subject,
                            "group": each.group,
                            "class": each.class_name,
                            "unit": np.tile(each.unit, shape[0]),
                            "threshold_a": np.repeat(np.array(rules, dtype=object), shape[1]),
                            "metric": phi,
                            "value": value.ravel(),
                            "n": n.ravel(),
                            "undefined": (~known).sum(axis=1).ravel(),
                            "method_a": method,
                            "backbone_a": backbone,
                            "layer_a": layer,
                        }
                    )
                )
    if not blocks:
        return pd.DataFrame(columns=[*_KEYS, "value", "subject", "group"])
    return pd.concat(blocks, ignore_index=True)


_KEYS = ["metric", "threshold_a", "method_a", "backbone_a", "layer_a"]


def _phi_subjects(units: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of phi over the units of each subject."""
    grouped = units.groupby([*_KEYS, "subject", "group"], sort=False, dropna=False)["value"]
    rows = grouped.agg(value="mean", n="count", size="size").reset_index()
    rows["undefined"] = rows["size"] - rows["n"]
    return rows.drop(columns="size").assign(level="subject")


def _phi_totals(units: pd.DataFrame, how: _Intervals) -> pd.DataFrame:
    """Return mean (with interval), median and quartiles of phi over all units."""
    rows: list[dict[str, Any]] = []
    for key, part in units.groupby(_KEYS, sort=False, dropna=False):
        words = dict(zip(_KEYS, key, strict=True))
        values = part["value"].to_numpy(float)
        known = values[~np.isnan(values)]
        mean, low, high = how.mean(values, part["group"].to_numpy())
        counts = {"n": len(known), "undefined": len(values) - len(known), "level": "cohort"}
        phi = words.pop("metric")
        rows.append(
            {**words, **counts, "metric": f"{phi}_unit_mean", "value": mean}
            | {"ci_low": low, "ci_high": high}
        )
        quartiles = np.quantile(known, (0.25, 0.5, 0.75)) if len(known) else [np.nan] * 3
        for name, value in zip(
            ("lower_quartile", "median", "upper_quartile"), quartiles, strict=True
        ):
            rows.append({**words, **counts, "metric": f"{phi}_unit_{name}", "value": value})
    return pd.DataFrame(rows)


def _pair_rows(found: Sequence[PairScores], rules: Sequence[str], how: _Intervals) -> pd.DataFrame:
    """Return the mean over units of every pair's IoU and rank correlation."""
    parts: dict[tuple[MapName, MapName], list[tuple[PairScores, int]]] = {}
    for each in found:
        for place, (one, two) in enumerate(each.pairs):
            pair = each.names[one], each.names[two]
            swapped = (pair[1], pair[0])
            parts.setdefault(swapped if swapped in parts else pair, []).append((each, place))
    rows: list[dict[str, Any]] = []
    for (a, b), cases in parts.items():
        words = {
            "level": "cohort",
            **{f"{key}_a": getattr(a, key) for key in ("method", "backbone", "layer")},
            **{f"{key}_b": getattr(b, key) for key in ("method", "backbone", "layer")},
        }
        groups = np.concatenate([np.full(len(each.unit), each.group, object) for each, _ in cases])
        measured = [
            ("iou_pair_unit_mean", rule, np.concatenate([each.iou[k, p] for each, p in cases]))
            for k, rule in enumerate(rules)
        ]
        if all(each.rank is not None for each, _ in cases):
            ranked = [each.rank[p] for each, p in cases if each.rank is not None]
            measured.append(("spearman_pair_unit_mean", "", np.concatenate(ranked)))
        for metric, rule, values in measured:
            mean, low, high = how.mean(values, groups)
            missing = int(np.isnan(values).sum())
            rows.append(
                {**words, "metric": metric, "threshold_a": rule, "threshold_b": rule}
                | {"value": mean, "ci_low": low, "ci_high": high}
                | {"n": len(values) - missing, "undefined": missing}
            )
    return pd.DataFrame(rows)


def _tests(
    units: pd.DataFrame, rules: Sequence[str]
) -> tuple[pd.DataFrame, dict[tuple[Phi, str], tuple[Comparison, Comparison | None]]]:
    """Compare the conditions at every threshold: as published, and over groups."""
    rows: list[dict[str, Any]] = []
    compared: dict[tuple[Phi, str], tuple[Comparison, Comparison | None]] = {}
    for phi in PHIS:
        for rule in rules:
            part = units[(units["metric"] == phi) & (units["threshold_a"] == rule)]
            keys = part[_KEYS[2:]].itertuples(index=False, name=None)
            named = [condition_label(phi, *key) for key in keys]
            if len(set(named)) < 2 or not part["value"].notna().any():
                continue
            values = part["value"].to_numpy(float)
            try:
                published = kruskal_wallis(values, named)
            except ReportError:  # all but one condition are undefined
                continue
            by_group: Comparison | None = None
            with suppress(ReportError):  # fewer than two groups have every condition
                by_group = friedman(values, named, part["group"].to_numpy())
            compared[phi, rule] = published, by_group
            rows += _test_rows(phi, rule, published)
            rows += _test_rows(phi, rule, by_group) if by_group is not None else []
    return pd.DataFrame(rows), compared


def _test_rows(phi: Phi, rule: str, found: Comparison) -> list[dict[str, Any]]:
    stem = f"{found.name.lower().replace('-', '_')}_{phi}"
    words = {"level": "cohort", "threshold_a": rule, "n": found.n, "undefined": found.dropped}
    effect = found.effect_name.lower().replace(" ", "_").replace("'", "")
    rows = [
        {**words, "metric": f"{stem}_chi2", "value": found.statistic, "p": found.p},
        {**words, "metric": f"{stem}_{effect}", "value": found.effect},
    ]
    column = "backbone" if phi == "phi_m" else "method"
    for pair in found.pairs:
        sides = {f"{column}_a": pair.a, f"{column}_b": pair.b, "n": pair.n, "p": pair.p_holm}
        rows += [
            {**words, **sides, "metric": f"posthoc_{phi}_median_difference"}
            | {"value": pair.difference},
            {**words, **sides, "metric": f"posthoc_{phi}_rank_biserial"}
            | {"value": pair.rank_biserial},
        ]
    return rows


def _clustered(pairs: pd.DataFrame, names: Sequence[MapName], headline: str) -> tuple[MapName, ...]:
    """Return the maps so that those that agree stand together (average linkage of 1 - IoU)."""
    if len(names) < 3:
        return tuple(names)
    matrix = pair_matrix(pairs, names, "iou_pair_unit_mean", headline)
    apart = 1 - np.nan_to_num(matrix, nan=0.0)
    np.fill_diagonal(apart, 0)
    flat = squareform(apart, checks=False)
    order = leaves_list(optimal_leaf_ordering(linkage(flat, "average"), flat))
    return tuple(names[place] for place in order.tolist())


def _consensus(found: PairScores) -> dict[str, NDArray[np.float32]]:
    """Return the share s of maps whose mask holds a voxel, and 4 s (1 - s): 1 where half do."""
    if found.votes is None:
        return {}
    share = (found.votes / np.float32(len(found.names))).astype(np.float32)
    return {"consensus": share, "disagreement": 4 * share * (1 - share)}


def _notes(
    found: Sequence[PairScores],
    names: Sequence[MapName],
    compared: Tests,
) -> tuple[str, ...]:
    subjects = {each.subject for each in found}
    groups = {each.group for each in found}
    units = sum(len(each.unit) for each in found)
    sizes = {"map": len(names), "subject": len(subjects), "group": len(groups), "unit": units}
    notes = [
        "Maps that agree are not thereby right: they may all look at the wrong thing.",
        f"{', '.join(counted(number, thing) for thing, number in sizes.items())}.",
    ]
    if compared:
        notes.append(
            "Kruskal-Wallis takes every unit for independent, as published; units of one subject "
            "are not, and its p is far too small. Friedman's test over groups respects that."
        )
    if len(groups) < _FEWEST_SUBJECTS:
        notes.append("There is one group, so there are no intervals and no test over groups.")
    return tuple(notes)
