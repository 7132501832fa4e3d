"""What one case comes to in one kind of report: what is stored, and joined over cases later.

Scoring needs heatmaps, masks or the network, and one case at a time; judging needs the scores of
all cases and no more. A report makes the scores itself or takes those that were stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.provenance import stamp
from napari_cam.reports.cases.case import Case, as_cases
from napari_cam.reports.scores.stored import write_stored

ReportKind = Literal["overlap", "agreement", "association", "faithfulness"]
FORMAT_VERSION = 1
_LONGEST = 120  # letters of a setting in an error


@dataclass(frozen=True, eq=False)
class CaseScores:
    """The scores of one case, as :func:`napari_cam.score_case` makes them.

    Attributes
    ----------
    report
        Which report they are for.
    settings
        How they were made; only scores of the same settings are joined.
    content
        The numbers, and the small pictures that the report shows.
    provenance
        What made them, as plain JSON.
    """

    report: ReportKind
    settings: Any
    content: Any = field(repr=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def subject(self) -> str:
        """Whose they are."""
        return str(self.content.subject)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the scores to a file (``.npz``), whole or not at all; return where.

        :func:`napari_cam.read_scores` reads them as they were. The file names the subject and no
        path; where the report shows pictures, it holds one slice of the image.

        Raises
        ------
        WriteError
            Where the file exists already (and `overwrite` is False) or cannot be written.
        """
        target = Path(path)
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        write_stored(target, {"napari_cam_scores": FORMAT_VERSION, **parts}, overwrite)
        return target


def scores_of(report: ReportKind, settings: Any, content: Any) -> CaseScores:
    """Return scores with what made them."""
    return CaseScores(report, settings, content, stamp(kind=f"scores of {report}"))


def gathered(
    report: ReportKind,
    given: Any,
    asked: Any,
    usual: Any,
    score: Callable[[Case, bool], CaseScores],
    **facts: Any,
) -> tuple[Any, list[Any]]:
    """Return settings and contents of the scores of all cases, made here where cases are given.

    Pictures are kept of the first case alone that has some.

    Parameters
    ----------
    report
        Which report asks.
    given
        Scores of cases; or what :func:`as_cases` takes, with its facts.
    asked, usual
        The settings asked for, and those where nothing is: scores keep their own.
    score
        Makes the scores of a case, with pictures or without.

    Raises
    ------
    ReportError
        Where scores are of another report or of different settings.
    """
    stored, items = _first_seen(given)
    if stored and (told := [name for name, value in facts.items() if value is not None]):
        raise ReportError(f"Scores were made with their own {told[0]}; leave it out here.")
    contents: list[Any] = []
    settings, shown = asked, False
    for each in items if stored else as_cases(items, **facts):
        found = _checked(each, report) if stored else score(each, not shown)
        if not contents:
            settings = _settled(found, asked, usual)
        elif found.settings != settings:
            raise _different(found, settings, contents[0].subject)
        content = found.content
        if getattr(content, "pictures", None) is not None:
            content = replace(content, pictures=None) if shown else content
            shown = True
        contents.append(content)
    return settings, contents


def _first_seen(given: Any) -> tuple[bool, Any]:
    """Return whether scores are given rather than cases, and all of them."""
    if isinstance(given, CaseScores):
        return True, [given]
    whole = isinstance(given, (Case, Heatmap, np.ndarray, Mapping, str, bytes))
    if whole or not isinstance(given, Iterable):
        return False, given
    items = iter(given)
    first = list(islice(items, 1))
    return bool(first) and isinstance(first[0], CaseScores), chain(first, items)


def _checked(each: Any, report: ReportKind) -> CaseScores:
    if not isinstance(each, CaseScores):
        raise ReportError(
            f"A report takes scores or cases, not both together ({type(each).__name__} after "
            "scores); score every case first."
        )
    if each.report != report:
        raise ReportError(
            f"The scores of '{each.subject}' are for the {each.report} report, not for this one; "
            f"make them with score_case(case, {report!r})."
        )
    return each


def _settled(first: CaseScores, asked: Any, usual: Any) -> Any:
    """Return the settings of the first scores, where those asked for do not contradict them."""
    for name in (each.name for each in fields(asked)):
        wanted, own = getattr(asked, name), getattr(first.settings, name)
        if wanted not in (getattr(usual, name), own):
            raise ReportError(
                f"The scores of '{first.subject}' were made with {name} = {_said(own)}, not "
                f"{_said(wanted)}; "
                "score the cases again, or leave it out."
            )
    return first.settings


def _different(other: CaseScores, settings: Any, subject: str) -> ReportError:
    for name in (each.name for each in fields(settings)):
        one, two = getattr(settings, name), getattr(other.settings, name)
        if one != two:
            return ReportError(
                f"The scores of '{subject}' were made with {name} = {_said(one)}, those of "
                f"'{other.subject}' with {_said(two)}; score all cases with the same settings."
            )
    raise AssertionError("different settings differ in a field")


def _said(value: Any) -> str:
    text = str(value)
    return text if len(text) < _LONGEST else f"{text[:_LONGEST]}…"
