"""From what was measured to the checks of one map."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.faithfulness.measured import Measured
from napari_cam.reports.faithfulness.scores import FLOOR
from napari_cam.reports.faithfulness.settings import Accuracy
from napari_cam.reports.faithfulness.verdict import (
    FEWEST_PLACES,
    UNSTABLE,
    Check,
    above_zero,
    not_made,
    unlike,
)
from napari_cam.statistics import (
    Interval,
    cluster_bootstrap,
    mean_of,
    wilson_proportion,
)

Summary = Callable[[NDArray[np.float64], list[str]], Interval]


def summary_by_subject(subjects: int, resamples: int, confidence: float, seed: int) -> Summary:
    """Return what makes a mean with its interval of one value per unit.

    Whole subjects are drawn anew; units where there is only one subject.
    """

    def summarise(values: NDArray[np.float64], whose: list[str]) -> Interval:
        if not len(values) or np.isnan(values).all():
            return Interval(*(math.nan,) * 3, confidence, "no value", 0)
        return cluster_bootstrap(
            mean_of(values),
            len(values),
            whose if subjects > 1 else None,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )

    return summarise


def network_checks(accuracy: Accuracy | None, difference: float) -> list[Check]:
    """Return what the network itself must fulfil before any of its maps counts."""
    name, threshold = "held-out accuracy", "interval above chance"
    if accuracy is None:
        checks = [not_made(name, "network", threshold, "not known; give accuracy=(successes, n)")]
    else:
        found = wilson_proportion(accuracy.successes, accuracy.n)
        checks = [
            Check(
                name,
                "network",
                found.value,
                f"interval > {accuracy.chance:.3f} (chance)",
                found.low > accuracy.chance,
                found.low,
                found.high,
                f"{accuracy.successes} of {accuracy.n} ({accuracy.source})",
            )
        ]
    return [
        *checks,
        Check(
            "same output twice",
            "network",
            difference,
            f"relative difference <= {UNSTABLE:g}",
            difference <= UNSTABLE,
            note="two runs in eval mode",
        ),
    ]


def faithfulness_checks(
    measured: Measured, name: MapName, summarise: Summary, recipe: bool, control: bool
) -> list[Check]:
    """Return whether a map shows what the network uses."""
    checks = [
        _against_floors(measured, name, summarise, "deletion", lower=True),
        _against_floors(measured, name, summarise, "insertion", lower=False),
        _against_floors(measured, name, summarise, "road", lower=False),
    ]
    why = "how the map was made is not known; give it under its MapKey"
    wanted = [("randomisation", "random", "random weights")]
    if control:
        wanted.append(("label-randomised control", "control", "a network of random labels"))
    for title, what, words in wanted:
        if not recipe:
            checks.append(not_made(title, "faithfulness", "|rank correlation| < 0.5", why))
            continue
        found = summarise(*measured.values(name, f"rank_correlation_{what}"))
        checks.append(unlike(title, found, f"with the map of {words}"))
    return checks


def _against_floors(
    measured: Measured, name: MapName, summarise: Summary, metric: str, lower: bool
) -> Check:
    """Return whether a map beats the hardest floor, unit by unit."""
    own, subjects = measured.values(name, metric)
    hardest: tuple[Interval, str] | None = None
    for floor in _floors(measured):
        others, _ = measured.values(floor, metric)
        if len(others) != len(own):
            continue
        found = summarise(others - own if lower else own - others, subjects)
        if not math.isnan(found.value) and (hardest is None or found.value < hardest[0].value):
            hardest = found, floor.method.removeprefix(FLOOR)
    title = f"{metric if metric != 'road' else 'ROAD'} beats floors"
    if hardest is None:
        return not_made(title, "faithfulness", "interval > 0", "no unit gives a value")
    return above_zero(title, "faithfulness", hardest[0], f"hardest floor: {hardest[1]}")


def _floors(measured: Measured) -> list[MapName]:
    names = dict.fromkeys(row["map"] for row in measured.rows)
    return [name for name in names if name.method.startswith(FLOOR)]


def localisation_checks(
    measured: Measured, name: MapName, summarise: Summary, recipe: bool
) -> list[Check]:
    """Return whether a map lies where it should."""
    checks = []
    for region, given in (("foreground", "a foreground"), ("reference", "a reference mask")):
        energy, subjects = measured.values(name, f"energy_{region}")
        title = f"energy in {region}"
        if not len(energy):
            why = f"{given} is not given, or leaves nothing outside"
            checks.append(not_made(title, "localisation", "interval > 0", why))
            continue
        flat, _ = measured.values(name, f"area_{region}")
        words = f"energy {np.nanmean(energy):.2f}, of a flat map {np.nanmean(flat):.2f}"
        checks.append(above_zero(title, "localisation", summarise(energy - flat, subjects), words))
    for region in ("reference", "foreground"):
        own, subjects = measured.values(name, f"energy_{region}")
        random, _ = measured.values(name, f"energy_{region}_random")
        if recipe and len(own) and len(own) == len(random):
            words = f"energy in the {region}, random weights {np.nanmean(random):.2f}"
            found = summarise(own - random, subjects)
            return [*checks, above_zero("ahead of random weights", "localisation", found, words)]
    why = "it needs a reference or foreground, and how the map was made"
    return [*checks, not_made("ahead of random weights", "localisation", "interval > 0", why)]


def places_check(places: tuple[int, ...]) -> Check:
    """Return whether a map has places enough to say where."""
    return Check(
        "map resolution",
        "faithfulness",
        min(places),
        f">= {FEWEST_PLACES} places along each axis",
        min(places) >= FEWEST_PLACES,
        note=" x ".join(map(str, places)),
    )
