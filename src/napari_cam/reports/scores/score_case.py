"""One case scored for any of the reports, and stored scores read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from napari_cam.errors import ReportError
from napari_cam.reports.cases.case import Case
from napari_cam.reports.scores.case_scores import FORMAT_VERSION, CaseScores, ReportKind
from napari_cam.reports.scores.stored import read_stored, stored_as


def score_case(case: Case, report: ReportKind = "overlap", **settings: Any) -> CaseScores:
    """Compute everything that a report needs from one case.

    This is the part that needs heatmaps, masks or the network. Score any number of cases, one after
    the other or on different computers, and pass all scores to the report:
    ``reference_report(scores)`` gives the same result as ``reference_report(cases)``.

    Parameters
    ----------
    case
        The maps of one subject, and what to compare them with.
    report
        "overlap" (:func:`reference_report`), "agreement", "association" or "faithfulness".
    settings
        The settings of the report that scoring needs, with the names that the report uses:
        `thresholds`, `strict` and `headline` (association has no `headline`); for overlap also
        `soft` and `surfaces`; for agreement `ranks`; for faithfulness `model` and all parameters
        from `control` to `device`. `pictures=False` leaves out the data that figures show of the
        first case.

    Raises
    ------
    ReportError
        If the case lacks something that the report needs.
    MaskError
        If a rule is unknown or does not suit a heatmap.

    Examples
    --------
    >>> import napari_cam as nc
    >>> from napari_cam.sample import load_sample_phantom
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> maps = nc.explain(model, volume, ["gradcam", "layercam"], "damaged")
    >>> case = nc.Case(maps, load_sample_phantom().damage, subject="fillet 1")
    >>> scores = nc.score_case(case, "overlap", thresholds=["fixed:0.5"])
    >>> report = nc.reference_report([scores], resamples=0)
    """
    if not isinstance(case, Case):
        raise ReportError(
            f"What is scored is a case, not {type(case).__name__}; give Case(maps, reference)."
        )
    return _scorer(report)(case, **settings)


def read_scores(path: str | os.PathLike[str]) -> CaseScores:
    """Read scores that :meth:`CaseScores.save` wrote, exactly as they were.

    Raises
    ------
    ReportError
        If the file is missing or damaged, is not a scores file, or was written by a later version.
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
