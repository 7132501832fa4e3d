"""One case put to the test: all that the network is asked of its maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cam.cams.targets.scores import Score
from napari_cam.errors import NapariCamError, ReportError
from napari_cam.learning.cohort.subjects import trained_on
from napari_cam.models.device import choose_device
from napari_cam.models.loaded import LoadedModel
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.faithfulness.explained import ExplainedCase, explained
from napari_cam.reports.faithfulness.measuring import (
    compare_with_control,
    compare_with_random,
    put_to_the_test,
)
from napari_cam.reports.faithfulness.network.remaking import places_of, recipe_of
from napari_cam.reports.faithfulness.network.scored_unit import unstable
from napari_cam.reports.faithfulness.scores import (
    FaithfulnessScores,
    Remade,
    Row,
    UnitCurves,
    UnitRows,
)
from napari_cam.reports.faithfulness.settings import (
    CurveSettings,
    FaithfulnessSettings,
    NetworkFacts,
)
from napari_cam.reports.scores.case_scores import CaseScores, scores_of


@dataclass(frozen=True, eq=False)
class NetworkTest:
    """How maps are put to the test: the settings with the networks themselves.

    Attributes
    ----------
    model, control
        The network, and one of shuffled labels; None for none.
    settings
        What is computed.
    device
        As in :func:`napari_cam.explain`.
    """

    model: LoadedModel | None
    control: LoadedModel | None
    settings: FaithfulnessSettings
    device: str = "auto"


def network_test(
    model: LoadedModel | None = None,
    control: LoadedModel | None = None,
    units: Sequence[int] | None = None,
    most_units: int = 8,
    score: Score = "probability",
    curves: CurveSettings | None = None,
    stages: int = 4,
    random_networks: int = 3,
    seed: int = 0,
    device: str = "auto",
) -> NetworkTest:
    """Return how maps are put to the test, from what :func:`faithfulness_report` takes."""
    settings = FaithfulnessSettings(
        None if model is None else NetworkFacts.of(model),
        None if control is None else control.sha256,
        None if units is None else tuple(int(unit) for unit in units),
        most_units,
        score,
        curves or CurveSettings(seed=seed),
        stages,
        random_networks,
        seed,
    )
    return NetworkTest(model, control, settings, device)


def score_faithfulness(case: Case, **settings: Any) -> CaseScores:
    """Score one case for the faithfulness report; see :func:`network_test` for the settings."""
    return score_network(case, network_test(**settings))


def score_network(
    case: Case, how: NetworkTest, tick: Callable[[], None] | None = None
) -> CaseScores:
    """Ask the network about the maps of a case.

    Parameters
    ----------
    case, how
        What is judged, and how.
    tick
        Called after each unit; an exception in it ends the scoring.

    Raises
    ------
    ReportError
        Where there is no network, or heatmaps and masks do not go with the image.
    """
    model = how.model
    if not isinstance(model, LoadedModel):
        raise ReportError(
            "Faithfulness asks the network that made the maps; give it as model=load_model(...)."
        )
    place = choose_device(how.device)
    own = explained(case, model, how.settings.units, how.settings.most_units)
    difference = 0.0
    rows: list[Row] = []
    curves: tuple[UnitCurves, ...] = ()
    if own.units:
        difference = unstable(model, own.prepared.batch(own.units[:2]), place)
        rows, curves = put_to_the_test(model, own, how.settings, place, tick)
    content = FaithfulnessScores(
        subject=own.subject,
        units=own.units,
        trained=trained_on(model.card.training, own.subject),
        input_shape=tuple(int(n) for n in own.prepared.input_shape),
        difference=difference,
        device=place.type,
        tested=UnitRows.of(rows),
        curves=curves,
        remade=tuple(_remade(own, name, model, how) for name in own.maps if own.units),
    )
    return scores_of("faithfulness", how.settings, content)


def _remade(case: ExplainedCase, name: MapName, model: LoadedModel, how: NetworkTest) -> Remade:
    """Compare a map with those of other networks, where it can be made again."""
    recipe = recipe_of(case, name)
    if recipe is None:
        return Remade(name, known=False)
    try:
        stages, random = compare_with_random(model, case, name, recipe, how.settings, how.device)
    except NapariCamError:  # such as a layer that is known by another name
        return Remade(name, known=False)
    made: dict[str, Any] = {
        "stages": tuple(stages),
        "cascade": np.array([*stages.values()], np.float64),
        "random": UnitRows.of(random),
    }
    if how.control is not None:
        try:
            control = compare_with_control(how.control, case, name, recipe, how.device)
        except NapariCamError:
            return Remade(name, known=False, **made)
        made["control"] = UnitRows.of(control)
    places: tuple[int, ...] = ()
    if recipe.method.space == "layer":
        places = tuple(int(n) for n in places_of(recipe, case, name, model, how.device))
    return Remade(name, known=True, places=places, **made)
