"""Faithfulness: the network is asked whether a heatmap shows what it used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from napari_cam.cams.plan import as_volume
from napari_cam.cams.targets.scores import Score
from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.models.loaded import LoadedModel
from napari_cam.provenance import stamp
from napari_cam.reports.cases.case import Case
from napari_cam.reports.faithfulness.checks import (
    Summary,
    faithfulness_checks,
    localisation_checks,
    network_checks,
    places_check,
    summary_by_subject,
)
from napari_cam.reports.faithfulness.explained import units_of
from napari_cam.reports.faithfulness.figures import faithfulness_figures
from napari_cam.reports.faithfulness.former_call import with_former_call
from napari_cam.reports.faithfulness.measured import (
    Measured,
    measured_of,
    remade_in_all,
    resolution_of,
)
from napari_cam.reports.faithfulness.scores import FLOOR, FaithfulnessScores
from napari_cam.reports.faithfulness.scoring import NetworkTest, network_test, score_network
from napari_cam.reports.faithfulness.settings import Accuracy, CurveSettings, FaithfulnessSettings
from napari_cam.reports.faithfulness.tables import (
    called,
    check_tables,
    faithfulness_rows,
    summary_table,
)
from napari_cam.reports.faithfulness.verdict import FEWEST_PLACES, UNSTABLE, Check, verdict_of
from napari_cam.reports.overlap.aggregate import Intervals
from napari_cam.reports.page.report import Report
from napari_cam.reports.page.tables import counted
from napari_cam.reports.scores.case_scores import gathered


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


@with_former_call
def faithfulness_report(
    cases: Any,
    model: LoadedModel | None = None,
    *,
    image: Any = None,
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
    """Test with the network itself whether heatmaps show what it used; give named verdicts.

    Deletion and insertion (Petsiuk et al. 2018), ROAD (Rong et al. 2022), average drop and increase
    (Chattopadhyay et al. 2018) and sensitivity-n (Ancona et al. 2018) of every map and of four
    baseline maps that do not use the network; cascading randomisation of its weights (Adebayo et
    al. 2018); and the share of each map inside the foreground and inside a reference.

    The maps of a network that has learned a shortcut are faithful too. Only the checks of their
    position can reveal the shortcut, so pass a foreground, and a reference if you have one.

    Parameters
    ----------
    cases
        A heatmap, or {map: heatmap} as :func:`explain` returns it, with `image`; or one
        :class:`Case` with an image per subject; or their scores (:func:`score_case`), which keep
        the settings that they were made with and need no network. Cases from a generator are held
        in memory one at a time.
    model
        The network that the heatmaps explain. It is not changed or moved.
    image, foreground, reference
        The volume; bool (z, y, x), the voxels of the object (None for the preparation's own); and
        the true region of the explained class. Case objects have their own.
    accuracy
        (successes, n) on held-out units; None for the value in the model's card.
    control
        A network of the same architecture, trained on shuffled labels.
    units
        Slices to test. None for up to `most_units` of each volume, evenly spread over the slices in
        which the explained class is predicted.
    score
        The score that the curves follow: "probability", "logit" or "log_odds" of the explained
        class; for a segmentation network, its mean over the pixels for which the class is
        predicted.
    curves
        Steps, fills and noise, as :class:`CurveSettings`.
    stages, random_networks
        Number of stages in which weights are randomised, and number of networks with fully random
        weights.
    resamples, confidence, seed
        Settings of the bootstrap by subject. The seed also determines noise, ties and random
        weights.
    device
        As in :func:`explain`.
    progress
        Called with the number of finished units and the total (0 if cases come one at a time).

    Returns
    -------
    FaithfulnessReport
        A :class:`Report` with `checks`, `verdicts` and `verdict`.

    Raises
    ------
    ReportError
        If images, heatmaps and masks do not match, no unit has evidence, or the scores have
        different settings.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> maps = nc.explain(model, volume, ["gradcam", "layercam"], "damaged")
    >>> report = nc.faithfulness_report(
    ...     maps,
    ...     model,
    ...     image=volume,
    ...     units=[10, 11],
    ...     curves=nc.CurveSettings(steps=5),
    ...     resamples=100,
    ... )
    >>> verdict = report.verdict
    """
    how = network_test(
        *(model, control, units, most_units, score, curves),
        *(stages, random_networks, seed, device),
    )
    Intervals(resamples, confidence, seed)  # raises before anything is computed
    if isinstance(cases, (Heatmap, Mapping)):
        volume = None if image is None else as_volume(image)
        cases = [Case(cases, reference, foreground=foreground, image=volume)]  # type: ignore[arg-type]
        image = foreground = reference = None
    tick = None if progress is None else _ticking(progress, cases, how)
    settings, every = gathered(
        "faithfulness",
        cases,
        how.settings,
        network_test().settings,
        lambda case, _: score_network(case, how, tick),
        image=image,
        foreground=foreground,
        reference=reference,
    )
    found: list[FaithfulnessScores] = [each for each in every if each.units]
    if not found:
        raise ReportError(
            "No unit of any heatmap holds evidence for the explained class, so there is nothing "
            "to judge."
        )
    measured = measured_of(found)
    subjects = len({each.subject for each in found})
    summarise = summary_by_subject(subjects, resamples, confidence, settings.seed)
    checks = _checks(found, measured, summarise, settings, accuracy)
    verdicts = {
        words: verdict_of(each, f"The map {words}" if len(checks) > 1 else "The map")
        for words, each in checks.items()
    }
    network, devices = settings.network, sorted({each.device for each in found})
    return FaithfulnessReport(
        faithfulness_rows(measured, summarise, network.class_names),
        "faithfulness",
        "Faithfulness of heatmaps",
        (_trained(found), *verdicts.values(), *_warnings(found, settings)),
        stamp(
            kind="faithfulness report",
            model={"architecture": network.architecture, "sha256": network.sha256},
            score=settings.score,
            curves=asdict(settings.curves),
            floors=[name for name in _methods(measured) if name.startswith(FLOOR)],
            stages=settings.stages,
            random_networks=settings.random_networks,
            control=settings.control,
            device=devices[0] if len(devices) == 1 else devices,
            resamples=resamples,
            confidence=confidence,
            seed=settings.seed,
        ),
        faithfulness_figures(measured, summarise),
        (*check_tables(checks), summary_table(measured, summarise, confidence)),
        checks=checks,
        verdicts=verdicts,
    )


def _ticking(
    progress: Callable[[int, int], None], cases: Any, how: NetworkTest
) -> Callable[[], None]:
    """Return what is called after each unit, with how many units cases in memory have."""
    total, done = 0, 0
    for case in [cases] if isinstance(cases, Case) else cases if isinstance(cases, list) else ():
        _, first = next(iter(case.named()))
        if isinstance(first, Heatmap):
            total += len(units_of(first, how.settings.units, how.settings.most_units))

    def tick() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return tick


def _checks(
    found: Sequence[FaithfulnessScores],
    measured: Measured,
    summarise: Summary,
    settings: FaithfulnessSettings,
    accuracy: Any,
) -> dict[str, list[Check]]:
    """Return the checks of every map, by what it is called."""
    network = settings.network
    held_out = None if network is None else network.accuracy_from(accuracy)
    resolution, checks = resolution_of(found), {}
    for name in (each.name for each in found[0].remade):
        known = remade_in_all(found, name)
        checks[called(name)] = [
            *network_checks(held_out, found[0].difference),
            *faithfulness_checks(measured, name, summarise, known, settings.control is not None),
            *([places_check(resolution[name])] if name in resolution else []),
            *localisation_checks(measured, name, summarise, known),
        ]
    return checks


def _methods(measured: Measured) -> list[str]:
    return [*dict.fromkeys(row["map"].method for row in measured.rows)]


def _trained(found: Sequence[FaithfulnessScores]) -> str:
    """Return on how many of the explained subjects the network was trained, by its card."""
    n = len(found)
    if any(each.trained is None for each in found):
        return (
            "The model's card does not name its training subjects, so it is not known whether the "
            f"network was trained on any of the {n} explained here."
        )
    seen = sum(bool(each.trained) for each in found)
    return f"The network was trained on {seen} of the {counted(n, 'subject')} explained here."


def _warnings(found: Sequence[FaithfulnessScores], settings: FaithfulnessSettings) -> list[str]:
    first, units = found[0], sum(len(case.units) for case in found)
    notes = [f"Asked about {counted(units, 'unit')} of {counted(len(found), 'subject')}"]
    notes[0] += f", at most {settings.most_units} of each." if settings.units is None else "."
    if len(found) == 1:
        notes.append(
            "Units of one subject resemble each other: the intervals hold for this subject alone."
        )
    if first.difference > UNSTABLE:
        notes.append(
            f"Two runs of the network in eval mode differ by {first.difference:.1%} of its largest "
            "output: it draws random numbers, so its maps change from run to run."
        )
    for name, places in resolution_of(found).items():
        cells = zip(first.input_shape[1:], places, strict=True)
        cell = " x ".join(f"{n / m:g}" for n, m in cells)
        few = " That is too few to say where." if min(places) < FEWEST_PLACES else ""
        notes.append(
            f"The map {called(name)} has {' x '.join(map(str, places))} places, each of {cell} "
            f"pixels of the network's input: nothing smaller can be told apart.{few}"
        )
    return notes
