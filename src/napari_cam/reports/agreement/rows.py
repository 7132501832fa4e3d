"""The rows of an agreement report: phi of units, subjects and cohort, every pair, and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_cam.errors import ReportError
from napari_cam.reports.agreement.scores import AgreementScores
from napari_cam.reports.agreement.tables import PHIS, Phi, condition_label
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.overlap.aggregate import Intervals
from napari_cam.statistics import (
    Comparison,
    cluster_bootstrap,
    friedman,
    kruskal_wallis,
    ratio_of,
)

Floats = NDArray[np.float64]
Condition = tuple[str, str, str]  # method, backbone, layer; what is not fixed is ""


@dataclass(frozen=True)
class MeanIntervals(Intervals):
    """Intervals of means over units, whole groups drawn."""

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


def phi_rows(
    found: Sequence[AgreementScores],
    rules: Sequence[str],
    called: Mapping[MapName, MapName],
    empty: float,
) -> pd.DataFrame:
    """Return phi of every unit, with how many pairs it is the mean of."""
    blocks = []
    for each in found:
        pairs = np.array(each.pairs)
        names = [called[name] for name in each.names]
        overlap = each.iou(empty)
        for phi in PHIS:
            for (method, backbone, layer), places in _conditions(names, phi).items():
                chosen = np.isin(pairs, places).all(axis=1)
                iou = overlap[:, chosen]
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


def phi_subjects(units: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of phi over the units of each subject."""
    grouped = units.groupby([*_KEYS, "subject", "group"], sort=False, dropna=False)["value"]
    rows = grouped.agg(value="mean", n="count", size="size").reset_index()
    rows["undefined"] = rows["size"] - rows["n"]
    return rows.drop(columns="size").assign(level="subject")


def phi_totals(units: pd.DataFrame, how: MeanIntervals) -> pd.DataFrame:
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


def pair_rows(
    found: Sequence[AgreementScores], rules: Sequence[str], how: MeanIntervals, empty: float
) -> pd.DataFrame:
    """Return the mean over units of every pair's IoU and rank correlation."""
    parts: dict[tuple[MapName, MapName], list[tuple[int, int]]] = {}  # cases, their pairs
    for case, each in enumerate(found):
        for place, (one, two) in enumerate(each.pairs):
            pair = each.names[one], each.names[two]
            swapped = (pair[1], pair[0])
            parts.setdefault(swapped if swapped in parts else pair, []).append((case, place))
    rows: list[dict[str, Any]] = []
    overlap, ranks = [each.iou(empty) for each in found], [each.rank for each in found]
    of_unit = [np.full(len(each.unit), each.group, object) for each in found]
    for (a, b), places in parts.items():
        words = {
            "level": "cohort",
            **{f"{key}_a": getattr(a, key) for key in ("method", "backbone", "layer")},
            **{f"{key}_b": getattr(b, key) for key in ("method", "backbone", "layer")},
        }
        groups = np.concatenate([of_unit[case] for case, _ in places])
        measured = [
            ("iou_pair_unit_mean", rule, np.concatenate([overlap[c][k, p] for c, p in places]))
            for k, rule in enumerate(rules)
        ]
        ranked = [rank[pair] for case, pair in places if (rank := ranks[case]) is not None]
        if len(ranked) == len(places):
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


def compared_conditions(
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
