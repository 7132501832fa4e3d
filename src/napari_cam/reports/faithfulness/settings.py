"""How heatmaps are put to the test, and what a report must know of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from napari_cam import checks
from napari_cam.errors import ReportError
from napari_cam.statistics import check_seed

if TYPE_CHECKING:
    from napari_cam.models.loaded import LoadedModel

Fill = Literal["blur", "mean", "zero"]


@dataclass(frozen=True)
class CurveSettings:
    """Settings of the tests that change pixels.

    Attributes
    ----------
    steps
        Number of steps in which all pixels are removed or restored.
    fill
        Replacement for deleted pixels: "blur" (the blurred unit that insertion starts from), "mean"
        (each channel's mean over the unit) or "zero". A constant leaves holes with sharp outlines
        that no image has, and a network may react to these more than to the missing pixels.
    blur
        Standard deviation of the Gaussian blur, as a share of the shortest axis.
    removed
        Shares of pixels that ROAD removes.
    noise
        Standard deviation of ROAD's noise as a share of the unit's range.
    seed
        Seed for the order of tied pixels and for the noise.
    """

    steps: int = 20
    fill: Fill = "blur"
    blur: float = 0.05
    removed: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    noise: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "removed", tuple(self.removed))
        check_seed(self.seed)
        checks.whole(self.steps, "The number of steps", ReportError, least=1)
        if self.fill not in get_args(Fill):
            raise ReportError(f"Deletion leaves {', '.join(get_args(Fill))}, not '{self.fill}'.")
        if not self.removed or not all(0 < share < 1 for share in self.removed):
            raise ReportError(f"ROAD removes shares between 0 and 1, not {self.removed}.")
        checks.number(self.blur, "The blur", ReportError, above=0)
        checks.number(self.noise, "The noise", ReportError, least=0)


@dataclass(frozen=True)
class Accuracy:
    """How well the network does on subjects that it was not trained on.

    Attributes
    ----------
    successes, n
        How many units of how many it recognises.
    chance
        What guessing the most frequent class reaches.
    source
        Where these numbers come from.
    """

    successes: int
    n: int
    chance: float
    source: str = "given"


@dataclass(frozen=True)
class NetworkFacts:
    """What a report says of the network, from its card.

    Attributes
    ----------
    architecture, sha256, class_names
        As the card and the weights have them.
    accuracy
        On held-out units, as the card has it of test or validation; None where it does not.
    """

    architecture: str
    sha256: str
    class_names: tuple[str, ...]
    accuracy: Accuracy | None

    @classmethod
    def of(cls, model: LoadedModel) -> NetworkFacts:
        """Return the facts of a network."""
        card = model.card
        names = tuple(str(name) for name in card.class_names)
        known = _stated_accuracy(card.training, _classes(names))
        return cls(str(card.architecture), model.sha256, names, known)

    def accuracy_from(self, given: Any) -> Accuracy | None:
        """Return the held-out accuracy: as given, else the card's own.

        Parameters
        ----------
        given
            :class:`Accuracy`, or (successes, n); None for the card's own.

        Raises
        ------
        ReportError
            Where what is given is no accuracy.
        """
        if given is None or isinstance(given, Accuracy):
            return self.accuracy if given is None else given
        try:
            successes, n = (int(each) for each in given)
        except (TypeError, ValueError) as error:
            raise ReportError(
                "The accuracy is given as (successes, n), such as (57, 64)."
            ) from error
        return Accuracy(successes, n, 1 / _classes(self.class_names))


@dataclass(frozen=True)
class FaithfulnessSettings:
    """How heatmaps are put to the test; see :func:`napari_cam.faithfulness_report`.

    Attributes
    ----------
    network
        The one that is asked; None where none is given.
    control
        SHA-256 of the network of shuffled labels; None for none.
    units, most_units
        Which units are asked about.
    score, curves, stages, random_networks, seed
        What is computed of them.
    """

    network: NetworkFacts | None = None
    control: str | None = None
    units: tuple[int, ...] | None = None
    most_units: int = 8
    score: str = "probability"
    curves: CurveSettings = CurveSettings()
    stages: int = 4
    random_networks: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.most_units < 1 or self.stages < 1 or self.random_networks < 1:
            raise ReportError("most_units, stages and random_networks are 1 or more.")


def _classes(names: tuple[str, ...]) -> int:
    return max(2, len(names))


def _stated_accuracy(training: Mapping[str, Any], classes: int) -> Accuracy | None:
    test, metrics = training.get("test"), training.get("metrics")
    stated = (
        (test.get("accuracy") if isinstance(test, Mapping) else None, "the card's test"),
        (
            metrics.get("validation_accuracy") if isinstance(metrics, Mapping) else None,
            "the card's validation",
        ),
    )
    for found, source in stated:
        if isinstance(found, Mapping) and found.get("n"):
            chance = _chance(training, classes)
            return Accuracy(int(found["successes"]), int(found["n"]), chance, source)
    return None


def _chance(training: Mapping[str, Any], classes: int) -> float:
    """Return the share of the most frequent class among validation images."""
    counts = training.get("images_per_class")
    held_out = counts.get("validation") if isinstance(counts, Mapping) else None
    if not held_out or not sum(held_out):
        return 1 / classes
    return float(max(held_out) / sum(held_out))
