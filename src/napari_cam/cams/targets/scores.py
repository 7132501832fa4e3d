"""Which scalar of a network's output is explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from napari_cam import checks
from napari_cam.choices import Choices
from napari_cam.errors import TargetError
from napari_cam.models.loaded import LoadedModel

Score = Literal["logit", "probability", "log_odds"]
SCORE: Choices[Score] = Choices(
    "The score",
    Score,
    TargetError,
    {
        "logit": "what the network returns for the class",
        "probability": "softmax of the logits, sigmoid of a single one",
        "log_odds": "log p / (1 - p)",
    },
)


@dataclass(frozen=True)
class Scored:
    """What a target read from a network's output.

    Attributes
    ----------
    scores
        (n,), in the graph of the output.
    class_index
        (n,) int64, the explained class of each image.
    again
        ``again(output, of)`` reads the same scores, with class and pixel set as they were, from
        the network's output (m, ...) for changed inputs; row j belongs to image ``of[j]``.
        A score over a set of pixels is their mean here, whatever it is in `scores`.
    pixels
        (n,) int64, how many pixels the score is read from; None where the output is no map.
    chosen
        (n, *o) bool, those pixels.
    """

    scores: Tensor
    class_index: Tensor
    again: Callable[[Tensor, Tensor], Tensor]
    pixels: Tensor | None = None
    chosen: Tensor | None = None


@runtime_checkable
class Target(Protocol):
    """Network output -> one scalar per image."""

    @property
    def label(self) -> str:
        """Return the word that names this target in keys and file names."""
        ...

    def resolved(self, model: LoadedModel | None) -> Target:
        """Return this target with names turned into indices, checked against the network."""
        ...

    def read(self, output: Tensor) -> Scored:
        """Return the explained score of every image of `output`."""
        ...


@dataclass(frozen=True)
class ClassScore:
    """The score of one class.

    Attributes
    ----------
    class_id
        Class by name or output index; None for the class that the network predicts, image by image.
    score
        "logit" y_c; "probability" softmax(y)_c (sigmoid if the network has one output); "log_odds"
        log p_c / (1 - p_c) = y_c - logsumexp of the other logits.
    name
        Display name of the class; filled in from the network's card.

    Notes
    -----
    A network with a single output z is binary: class 1 has the score z and class 0 the score -z.
    """

    class_id: int | str | None = None
    score: Score = "logit"
    name: str | None = None

    def __post_init__(self) -> None:
        SCORE.checked(self.score)
        object.__setattr__(self, "class_id", checked_class(self.class_id))

    @property
    def label(self) -> str:
        """Return the class's name, else "class 3"; "predicted" for the network's own choice."""
        word = class_word(self.class_id, self.name)
        return word if self.score == "logit" else f"{word} ({self.score})"

    def resolved(self, model: LoadedModel | None) -> ClassScore:
        """Return this target with the class as an index.

        Raises
        ------
        TargetError
            If the network has no such class.
        """
        return replace(self, **resolved_class(self.class_id, self.name, model))

    def read(self, output: Tensor) -> Scored:
        """Return the explained score of every image.

        Parameters
        ----------
        output
            (n, classes) logits, or (n, 1).

        Raises
        ------
        TargetError
            If the output is not a row of class scores, or has no such class.
        """
        logits = class_logits(output)
        n, classes = logits.shape
        if self.class_id is None:
            index = logits.detach().argmax(dim=1)
        else:
            index = torch.full((n,), class_number(self.class_id, classes), device=logits.device)
        binary = output.shape[1] == 1

        def again(changed: Tensor, of: Tensor) -> Tensor:
            return class_scores(class_logits(changed), index[of], self.score, binary)

        return Scored(class_scores(logits, index, self.score, binary), index, again)


def checked_class(given: Any) -> int | str | None:
    """Return a class as it was given, NumPy's integers as Python's.

    Raises
    ------
    TargetError
        Where it is neither a name nor an index.
    """
    if given is None or isinstance(given, str):
        return given
    return checks.whole(given, "A class", TargetError, wanted="given by name or index")


def class_word(class_id: int | str | None, name: str | None) -> str:
    """Return what a class is called."""
    if class_id is None:
        return "predicted"
    return name or (class_id if isinstance(class_id, str) else f"class {class_id}")


def resolved_class(
    class_id: int | str | None, name: str | None, model: LoadedModel | None
) -> dict[str, Any]:
    """Return a target's `class_id` as an index and its `name`, as the network's card has them.

    Raises
    ------
    TargetError
        Where the network has no such class.
    """
    if class_id is None:
        return {}
    names = model.card.class_names if model is not None else ()
    if model is not None and names:
        number = model.class_index(class_id)
        return {"class_id": number, "name": names[number]}
    try:
        return {"class_id": int(class_id), "name": name}
    except ValueError as error:
        raise TargetError(
            f"The network's classes have no names, so '{class_id}' is unknown; "
            "give its index, or class_names when the network is loaded."
        ) from error


def class_number(class_id: int | str, classes: int) -> int:
    """Return the index of a class, which must be below `classes`."""
    number = int(class_id)
    if not 0 <= number < classes:
        raise TargetError(
            f"The network has no class {number}; its {classes} classes are 0 to {classes - 1}."
        )
    return number


def class_scores(logits: Tensor, index: Tensor, score: Score, binary: bool) -> Tensor:
    """Return each image's score of its class, (n, classes, *o) and (n,) -> (n, *o)."""
    places = index.reshape(-1, 1, *(1,) * (logits.ndim - 2))
    places = places.expand(-1, 1, *logits.shape[2:])
    own = logits.gather(1, places)[:, 0]
    if score == "logit" or (binary and score == "log_odds"):
        return own
    if score == "probability":
        return own.sigmoid() if binary else logits.softmax(dim=1).gather(1, places)[:, 0]
    others = logits.scatter(1, places, -torch.inf)
    return own - others.logsumexp(dim=1)


def class_logits(output: Tensor) -> Tensor:
    """Return (n, classes) logits; a single output z becomes the two classes (-z, z).

    Raises
    ------
    TargetError
        Where the output is not (n, classes).
    """
    if output.ndim in (4, 5):
        raise TargetError(
            f"A class score needs an output of shape (n, classes), and this network returns maps "
            f"of scores, {tuple(output.shape)}: is it a classifier? Explain a region of them with "
            "RegionScore(class, 'predicted'), or say task='segmentation' when it is wrapped."
        )
    if output.ndim != 2 or output.shape[1] == 0:
        raise TargetError(
            f"A class score needs an output of shape (n, classes), and this network returns "
            f"{tuple(output.shape)}; is it a classifier?"
        )
    return two_classes(output)


def two_classes(output: Tensor) -> Tensor:
    """Return logits (n, classes, ...); a single output z becomes the two classes (-z, z)."""
    return torch.cat([-output, output], dim=1) if output.shape[1] == 1 else output


AnyTarget = Target | int | str | None
