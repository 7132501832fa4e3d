"""One case scored for any of the reports, and stored scores read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from napari_cam.errors import ReportError
from napari_cam.reports.case import Case
from napari_cam.reports.case_scores import FORMAT_VERSION, CaseScores, ReportKind
from napari_cam.reports.stored import read_stored, stored_as


def score_case(case: Case, report: ReportKind = "overlap", **settings: Any) -> CaseScores:
    """Compute what a report needs of one case: all that takes heatmaps, masks or the network.

    The scores of any number of cases, made one after the other or on different computers, are
    joined by the report: ``reference_report(scores)`` says what ``reference_report(cases)`` says.

    Parameters
    ----------
    case
        Maps of one subject, with what they are compared with.
    report
        "overlap" (:func:`reference_report`), "agreement", "association" or "faithfulness".
    settings
        Those of the report that scoring needs, under the names that they have there: `thresholds`,
        `strict`, and `headline` but for association; `soft` and `surfaces` of overlap; `ranks` of
        agreement; of faithfulness `model` and all from `control` to `device`. `pictures=False`
        leaves out what figures show of the first case.

    Raises
    ------
    ReportError
        Where the case does not have what the report needs.
    MaskError
        Where a rule is unknown or does not suit a heatmap.
    """
    if not isinstance(case, Case):
        raise ReportError(
            f"What is scored is a case, not {type(case).__name__}; give Case(maps, reference)."
        )
    return _scorer(report)(case, **settings)


def read_scores(path: str | os.PathLike[str]) -> CaseScores:
    """Read the scores that :meth:`CaseScores.save` wrote, exactly as they were.

    Raises
    ------
    ReportError
        Where the file is missing or damaged, is another one, or was written by a later version.
    """
    file = Path(path)
    header, arrays = read_stored(file)
    version = header.get("napari_cam_scores")
    if type(version) is int and version > FORMAT_VERSION:
        raise ReportError(
            f"{file} was written by a later version of napari-cam (scores of version {version}); "
            "install that version, or score the case again."
        )
    stored = stored_as(_Stored, header, arrays, file)
    settings, content = _types(stored.report)
    return CaseScores(
        stored.report,
        stored_as(settings, stored.settings, arrays, file),
        stored_as(content, stored.content, arrays, file),
        stored.provenance,
    )


@dataclass(frozen=True)
class _Stored:
    """The header of a file of scores."""

    napari_cam_scores: Literal[1]
    report: ReportKind
    settings: Any
    content: Any
    provenance: Mapping[str, Any]


def _scorer(report: str) -> Callable[..., CaseScores]:
    # Imported here: one report alone needs torch.
    if report == "overlap":
        from napari_cam.reports.overlap.scoring import score_overlap

        return score_overlap
    if report == "agreement":
        from napari_cam.reports.agreement.scoring import score_agreement

        return score_agreement
    if report == "association":
        from napari_cam.reports.association.scoring import score_association

        return score_association
    if report == "faithfulness":
        from napari_cam.reports.faithfulness.scoring import score_faithfulness

        return score_faithfulness
    raise ReportError(
        f"There is no report '{report}'; there are {', '.join(get_args(ReportKind))}."
    )


def _types(report: ReportKind) -> tuple[Any, Any]:
    """Return the classes of a report's settings and of its contents."""
    if report == "overlap":
        from napari_cam.reports.overlap.scores import OverlapScores, OverlapSettings

        return OverlapSettings, OverlapScores
    if report == "agreement":
        from napari_cam.reports.agreement.scores import AgreementScores, AgreementSettings

        return AgreementSettings, AgreementScores
    if report == "association":
        from napari_cam.reports.association.scoring import AssociationScores, AssociationSettings

        return AssociationSettings, AssociationScores
    from napari_cam.reports.faithfulness.scores import FaithfulnessScores
    from napari_cam.reports.faithfulness.settings import FaithfulnessSettings

    return FaithfulnessSettings, FaithfulnessScores
