"""Faithfulness: the network is asked whether a heatmap shows what it used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from napari_cam.cams.targets.scores import Score
from napari_cam.errors import NapariCamError, ReportError
from napari_cam.learning.cohort.subjects import trained_on
from napari_cam.models.device import choose_device
from napari_cam.models.loaded import LoadedModel
from napari_cam.provenance import stamp
from napari_cam.reports.cases import MapName
from napari_cam.reports.faithfulness.again import Recipe, places_of, recipe_of
from napari_cam.reports.faithfulness.asking import unstable
from napari_cam.reports.faithfulness.cases import Case, cases_of
from napari_cam.reports.faithfulness.checks import (
    Accuracy,
    Summary,
    accuracy_of,
    faithfulness_checks,
    localisation_checks,
    network_checks,
    places_check,
    summary_by_subject,
)
from napari_cam.reports.faithfulness.curves import CurveSettings
from napari_cam.reports.faithfulness.figures import faithfulness_figures
from napari_cam.reports.faithfulness.measuring import (
    FLOOR,
    Measured,
    compare_with_control,
    compare_with_random,
    put_to_the_test,
)
from napari_cam.reports.faithfulness.verdict import UNSTABLE, Check, verdict_of
from napari_cam.reports.overlap.aggregate import Intervals
from napari_cam.reports.page.report import Report
from napari_cam.reports.page.tables import ReportTable, counted
from napari_cam.statistics import Interval

_METRICS = (
    *("deletion", "insertion", "road", "road_morf", "road_lerf", "average_drop", "increase"),
    "sensitivity_n",
)


@dataclass(frozen=True, eq=False, repr=False)
class FaithfulnessReport(Report):
    """A report with its verdict.

    Attributes
    ----------
    checks
        Map, in words -> its checks.
    verdicts
        Map, in words -> what they come to in one sentence.
    """

    checks: Any = None
    verdicts: Any = None

    @property
    def verdict(self) -> str:
        """The sentence on every map."""
        return "\n".join(self.verdicts.values())


def faithfulness_report(
    model: LoadedModel,
    volume: Any,
    heatmaps: Any,
    *,
    foreground: Any = None,
    reference: Any = None,
    accuracy: Accuracy | tuple[int, int] | None = None,
    control: LoadedModel | None = None,
    units: Sequence[int] | None = None,
    most_units: int = 8,
    score: Score = "probability",
    curves: CurveSettings | None = None,
    stages: int = 4,
    random_networks: int = 3,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> FaithfulnessReport:
    """Ask a network whether heatmaps show what it used, and judge them by named checks.

    Deletion and insertion (Petsiuk et al. 2018), ROAD (Rong et al. 2022), average drop and increase
    (Chattopadhyay et al. 2018) and sensitivity-n (Ancona et al. 2018) of every map and of four
    floors that know nothing of the network; cascading randomisation of its weights (Adebayo et al.
    2018); and how much of a map lies in the foreground and in a reference.

    A network that has learned a shortcut has faithful maps: only the checks of where they lie can
    give it away, so give a foreground, and a reference where there is one.

    Parameters
    ----------
    model
        The network that the heatmaps explain; neither changed nor moved.
    volume
        One volume (or array), or subject -> volume.
    heatmaps
        One heatmap, or {map: heatmap} as :func:`explain` returns it; with several subjects
        subject -> that.
    foreground, reference
        bool (z, y, x), or subject -> that: where the object is (None for the preparation's own),
        and where the explained class truly is.
    accuracy
        (successes, n) on held-out units; None for what the model's card says.
    control
        A network of the same architecture trained on shuffled labels.
    units
        Slices to ask about; None for up to `most_units` of each volume, evenly spread over those
        in which the explained class is predicted.
    score
        What the curves follow: "probability", "logit" or "log_odds" of the explained class; of a
        segmentation network its mean over the pixels where the class is predicted.
    curves
        Steps, fills and noise, as :class:`CurveSettings`.
    stages, random_networks
        Parts in which weights are randomised, and how many networks of random weights alone.
    resamples, confidence, seed
        Of the bootstrap by subject; the seed also decides noise, ties and random weights.
    device
        As in :func:`explain`.
    progress
        Called with the units done and all of them.

    Returns
    -------
    FaithfulnessReport
        A :class:`Report` with `checks`, `verdicts` and `verdict`.

    Raises
    ------
    ReportError
        Where volumes, heatmaps and masks do not go together, or no unit holds evidence.
    """
    if most_units < 1 or stages < 1 or random_networks < 1:
        raise ReportError("most_units, stages and random_networks are 1 or more.")
    Intervals(resamples, confidence, seed)  # raises before anything is computed
    settings = curves or CurveSettings(seed=seed)
    place = choose_device(device)
    cases = cases_of(model, volume, heatmaps, foreground, reference, units, most_units)
    total, done = sum(len(case.units) for case in cases), 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    first = cases[0].prepared.batch(cases[0].units[:2])
    difference = unstable(model, first, place)
    measured = put_to_the_test(model, cases, score, settings, place, tick)
    recipes = {name: recipe_of(cases[0], name) for name in cases[0].maps}
    for name, recipe in recipes.items():
        recipes[name] = _compared(
            model, cases, name, recipe, measured, control, stages, random_networks, seed, device
        )
    summarise = summary_by_subject(len(cases), resamples, confidence, seed)
    known = accuracy_of(model.card, accuracy)
    checks, resolution = {}, []
    for name, recipe in recipes.items():
        places = _places(recipe, cases[0], name, model, device)
        resolution.append((name, places))
        checks[_words(name)] = [
            *network_checks(known, difference),
            *faithfulness_checks(
                measured, name, summarise, recipe is not None, control is not None
            ),
            *([places_check(places)] if places else []),
            *localisation_checks(measured, name, summarise, recipe is not None),
        ]
    verdicts = {
        words: verdict_of(each, f"The map {words}" if len(checks) > 1 else "The map")
        for words, each in checks.items()
    }
    names = model.card.class_names
    return FaithfulnessReport(
        _table(measured, summarise, names),
        "faithfulness",
        "Faithfulness of heatmaps",
        (
            *_trained(model, cases),
            *verdicts.values(),
            *_warnings(cases, difference, resolution, most_units, units is None),
        ),
        stamp(
            kind="faithfulness report",
            model={"architecture": model.card.architecture, "sha256": model.sha256},
            score=score,
            curves=asdict(settings),
            floors=[row for row in _maps(measured) if row.startswith(FLOOR)],
            stages=stages,
            random_networks=random_networks,
            control=None if control is None else control.sha256,
            device=place.type,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        ),
        faithfulness_figures(measured, summarise),
        (*_check_tables(checks), _summary_table(measured, summarise, confidence)),
        checks=checks,
        verdicts=verdicts,
    )


def _compared(
    model: LoadedModel,
    cases: list[Case],
    name: MapName,
    recipe: Recipe | None,
    measured: Measured,
    control: LoadedModel | None,
    stages: int,
    networks: int,
    seed: int,
    device: str,
) -> Recipe | None:
    """Compare a map with those of other networks; None where it cannot be made again."""
    if recipe is None:
        return None
    try:
        compare_with_random(
            *(model, cases, name, recipe, measured),
            stages=stages,
            networks=networks,
            seed=seed,
            device=device,
        )
        if control is not None:
            compare_with_control(control, cases, name, recipe, measured, device)
    except NapariCamError:  # such as a layer that is known by another name
        return None
    return recipe


def _places(
    recipe: Recipe | None, case: Case, name: MapName, model: LoadedModel, device: str
) -> tuple[int, ...]:
    if recipe is None or recipe.method.space != "layer":
        return ()
    return tuple(int(n) for n in places_of(recipe, case, name, model, device))


def _words(name: MapName) -> str:
    return name.label or "map"


def _maps(measured: Measured) -> list[str]:
    return [*dict.fromkeys(row["map"].method for row in measured.rows)]


def _trained(model: LoadedModel, cases: list[Case]) -> list[str]:
    """Return on how many of the explained subjects the network was trained, by its card."""
    found = [trained_on(model.card.training, case.subject) for case in cases]
    n = len(found)
    if None in found:
        text = (
            "The model's card does not name its training subjects, so it is not known whether the "
            f"network was trained on any of the {n} explained here."
        )
    else:
        seen = sum(map(bool, found))
        text = f"The network was trained on {seen} of the {counted(n, 'subject')} explained here."
    return [text]


def _warnings(
    cases: list[Case],
    difference: float,
    resolution: list[tuple[MapName, tuple[int, ...]]],
    most: int,
    chosen: bool,
) -> list[str]:
    units = sum(len(case.units) for case in cases)
    notes = [f"Asked about {counted(units, 'unit')} of {counted(len(cases), 'subject')}"]
    notes[0] += f", at most {most} of each." if chosen else "."
    if len(cases) == 1:
        notes.append(
            "Units of one subject resemble each other: the intervals hold for this subject alone."
        )
    if difference > UNSTABLE:
        notes.append(
            f"Two runs of the network in eval mode differ by {difference:.1%} of its largest "
            "output: it draws random numbers, so its maps change from run to run."
        )
    shape = cases[0].prepared.input_shape[1:]
    for name, places in resolution:
        if places:
            cell = " x ".join(f"{n / m:g}" for n, m in zip(shape, places, strict=True))
            few = " That is too few to say where." if min(places) < 4 else ""
            notes.append(
                f"The map {_words(name)} has {' x '.join(map(str, places))} places, each of {cell} "
                f"pixels of the network's input: nothing smaller can be told apart.{few}"
            )
    return notes


def _table(measured: Measured, summarise: Summary, names: tuple[str, ...]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for row in measured.rows:
        index = row["class"]
        word = names[index] if 0 <= index < len(names) else f"class {index}"
        rows.append(
            {"level": "unit", "subject": row["subject"], "unit": row["unit"], "class": word}
            | _columns(row["map"])
            | {"metric": row["metric"], "value": row["value"], "n": 1}
        )
    for name, metric, found in _summaries(measured, summarise):
        rows.append(
            {"level": "cohort", **_columns(name), "metric": metric, "value": found.value}
            | {"n": found.n, "ci_low": found.low, "ci_high": found.high}
        )
    for name, stages in measured.cascades.items():
        rows += [
            {"level": "cohort", **_columns(name), "metric": "rank_correlation_cascade"}
            | {"value": value, "stage": stage}
            for stage, value in stages
        ]
    return pd.DataFrame(rows)


def _columns(name: MapName) -> dict[str, str]:
    return {"method_a": name.method, "backbone_a": name.backbone, "layer_a": name.layer}


def _summaries(measured: Measured, summarise: Summary) -> list[tuple[MapName, str, Interval]]:
    pairs = dict.fromkeys((row["map"], row["metric"]) for row in measured.rows)
    return [(name, metric, summarise(*measured.values(name, metric))) for name, metric in pairs]


def _check_tables(checks: dict[str, list[Check]]) -> list[ReportTable]:
    caption = (
        "A check that could not be made neither passes nor fails. Faithful maps of a network that "
        "has learned a shortcut pass all checks but those of localisation."
    )
    tables = []
    for words, each in checks.items():
        frame = pd.DataFrame(
            [
                {
                    "check": check.name,
                    "speaks of": check.kind,
                    "value": check.value,
                    "low": check.low,
                    "high": check.high,
                    "passes": check.threshold,
                    "outcome": check.outcome,
                    "note": check.note,
                }
                for check in each
            ]
        )
        tables.append(ReportTable(f"Checks of {words}", frame, caption))
    return tables


def _summary_table(measured: Measured, summarise: Summary, confidence: float) -> ReportTable:
    rows = []
    for name in dict.fromkeys(row["map"] for row in measured.rows):
        row: dict[str, Any] = {"map": _words(name)}
        for metric in _METRICS:
            found = summarise(*measured.values(name, metric))
            row[metric] = _bracketed(found)
        rows.append(row)
    caption = (
        f"Means over units with {100 * confidence:g} % intervals. Low is good: deletion, "
        "road_morf, average_drop (%); high is good: insertion, road, road_lerf, increase, "
        "sensitivity_n. Floors know nothing of the network."
    )
    return ReportTable("Maps and floors", pd.DataFrame(rows), caption)


def _bracketed(found: Interval) -> str:
    if math.isnan(found.value):
        return "–"
    known = not math.isnan(found.low)
    return f"{found.value:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if known else "")
