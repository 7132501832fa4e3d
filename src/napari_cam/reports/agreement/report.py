"""The agreement report: whether CAM methods agree with each other, and whether networks do.

After Sci Rep 2023, 13:2574: phi_m is the mean IoU over all pairs of CAM methods with the network m
fixed, phi_c that over all pairs of networks with the method c fixed, one value for each unit and
threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from napari_cam.errors import ReportError
from napari_cam.masks.counts import Counts
from napari_cam.masks.rules import ThresholdRule
from napari_cam.provenance import stamp
from napari_cam.reports.agreement.figures import ConsensusMaps, agreement_figures
from napari_cam.reports.agreement.rows import (
    MeanIntervals,
    compared_conditions,
    pair_rows,
    phi_rows,
    phi_subjects,
    phi_totals,
)
from napari_cam.reports.agreement.scores import AgreementScores, Votes
from napari_cam.reports.agreement.scoring import score_pairs, scoring_of
from napari_cam.reports.agreement.tables import Tests, agreement_tables, pair_matrix
from napari_cam.reports.cases.cut_maps import CURVE, HEADLINE
from napari_cam.reports.cases.map_names import MapName, plainest
from napari_cam.reports.page.report import Report
from napari_cam.reports.page.tables import counted, tidy
from napari_cam.reports.scores.case_scores import gathered

_FEWEST_SUBJECTS = 2


def agreement_report(
    cases: Any,
    *,
    foreground: NDArray[np.bool_] | None = None,
    thresholds: ThresholdRule | str | Sequence[ThresholdRule | str] = CURVE,
    headline: ThresholdRule | str = HEADLINE,
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
        Maps by name, or one :class:`Case` per subject; references are not needed. Maps are
        identified by method, backbone and layer. Pairs with the same backbone give phi_m, pairs
        with the same method and layer give phi_c. Or their scores (:func:`score_case`), which keep
        the settings that they were made with.
    foreground
        (z, y, x) bool, the voxels that count. Case objects have their own.
    thresholds, headline, strict
        As in :func:`reference_report`.
    empty
        The score of a pair of two empty masks: NaN (excluded and counted), 0.0, or 1.0 as in the
        code of Sci Rep 2023, 13:2574.
    ranks
        Whether to also compute Spearman's correlation of the heatmaps.
    resamples, confidence, seed
        Settings of the bootstrap intervals, which resample whole groups.
    title
        Title of the report.
    tick
        Called after each map; an exception in it stops the report.

    Returns
    -------
    Report
        A report of kind "agreement": phi of units, subjects and cohort; every pair
        (`iou_pair_unit_mean`, `spearman_pair_unit_mean`); Kruskal-Wallis over units as published,
        and in addition Friedman over groups with Wilcoxon's test of every pair, corrected by Holm.
        Its `arrays` hold the consensus and disagreement of the first subject's maps at the headline
        threshold.

    Raises
    ------
    ReportError
        If a subject has fewer than two maps, or maps on different grids, or the scores have
        different settings.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> maps = nc.explain(model, volume, ["gradcam", "layercam"], "damaged")
    >>> report = nc.agreement_report(maps, thresholds="fixed:0.5", resamples=0)
    >>> report.kind
    'agreement'
    >>> rows = report.select(metric="phi_m_unit_median")
    """
    how = scoring_of(thresholds, headline, strict, ranks)
    intervals = MeanIntervals(resamples, confidence, seed)
    Counts(0, 0, 0, 0).iou(empty)  # raises before anything is computed
    settings, found = gathered(
        "agreement",
        cases,
        how.settings,
        scoring_of().settings,
        lambda case, pictures: score_pairs(case, how, pictures, tick),
        foreground=foreground,
    )
    if not any(len(each.unit) for each in found):
        raise ReportError(
            "No voxel can be compared: the foreground lies where not all networks saw; give "
            "another one."
        )
    names = tuple(dict.fromkeys(name for each in found for name in each.names))
    rules, first = settings.thresholds, settings.headline
    called = plainest(names)
    units = phi_rows(found, rules, called, empty)
    pairs = pair_rows(found, rules, intervals, empty)
    tests, compared = compared_conditions(units, rules)
    totals = phi_totals(units, intervals)
    table = tidy(pd.concat([units, phi_subjects(units), totals, pairs, tests], ignore_index=True))
    order = _clustered(pairs, names, first)
    shown = next((each for each in found if each.pictures is not None), None)
    consensus = None if shown is None else _consensus(shown.pictures, len(shown.names))
    return Report(
        table=table,
        kind="agreement",
        title=title,
        notes=_notes(found, names, compared),
        provenance=stamp(
            kind="agreement report",
            thresholds=rules,
            headline=first,
            strict=settings.strict,
            empty="undefined" if np.isnan(empty) else empty,
            bootstrap={"resamples": resamples, "confidence": confidence, "seed": seed}
            | {"unit": "group"},
            order=[each.label for each in order],
            maps=[each.label for each in names],
            subjects=len({each.subject for each in found}),
        ),
        figures=agreement_figures(table, order, called, first, compared, consensus),
        tables=agreement_tables(table, order, called, first, compared),
        empty=empty,
        arrays={} if consensus is None else consensus.arrays,
    )


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


def _consensus(votes: Votes, maps: int) -> ConsensusMaps:
    """Return the share s of maps whose mask holds a voxel, and 4 s (1 - s): 1 where half do."""
    share = (votes.counted / np.float32(maps)).astype(np.float32)
    arrays = {"consensus": share, "disagreement": 4 * share * (1 - share)}
    return ConsensusMaps(arrays, votes.axis, votes.grid)


def _notes(
    found: Sequence[AgreementScores],
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
