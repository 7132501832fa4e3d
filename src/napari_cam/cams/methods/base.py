"""What a CAM method is: a formula on activations and gradients, with its own parameters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from torch import Tensor

from napari_cam import checks
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.errors import MethodError

ReLU = Literal["sum", "none", "per_channel"]
Space = Literal["layer", "input"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a formula works on, n images at a time.

    Attributes
    ----------
    activations
        A (n, k, *f), float32 or float64; the network's input (n, c, *s) for methods of that space.
    gradients
        G = d score / dA (n, k, *f), for methods that need gradients.
    class_weights
        (n, k) weights of the linear layer after global average pooling, for the class explained.
    rescorer
        Runs the network again, for methods that need "rescoring".
    """

    activations: Tensor
    gradients: Tensor | None = None
    class_weights: Tensor | None = None
    rescorer: Rescorer | None = None


@dataclass(frozen=True)
class CamMethod(ABC):
    """A formula that turns evidence into a CAM (n, *f).

    Attributes
    ----------
    space
        Where the map lies: at the target "layer"'s resolution, or at the network's "input".
    needs
        What the formula works on: "activations", "gradients", "class weights", "rescoring".
    relu
        "sum" rectifies the finished map when a heatmap is made of it, "none" keeps its sign.
        "per_channel", where a method offers it, rectifies each channel before the sum.
    reads_modules
        Whether the formula looks into the network's modules through the rescorer, and not only at
        what they return; it is then given the user's own network, never the folded copy.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    reference: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "gradients"})
    space: ClassVar[Space] = "layer"
    reads_modules: ClassVar[bool] = False
    relu_choices: ClassVar[tuple[ReLU, ...]] = ("sum", "none")

    relu: ReLU = "sum"

    def __post_init__(self) -> None:
        if self.relu not in self.relu_choices:
            choices = ", ".join(f"'{choice}'" for choice in self.relu_choices)
            raise MethodError(f"{self.title}: relu is one of {choices}, not '{self.relu}'.")

    @property
    def label(self) -> str:
        """Return the name with every parameter that is not the default: "gradcam(relu=none)"."""
        changed = [
            f"{item.name}={getattr(self, item.name)}"
            for item in fields(self)
            if getattr(self, item.name) != item.default
        ]
        return f"{self.name}({', '.join(changed)})" if changed else self.name

    @abstractmethod
    def raw(self, evidence: Evidence) -> Tensor:
        """Return the signed map (n, *f), before the final ReLU, resize and normalisation."""


def whole_number(method: CamMethod, field: str, least: int = 1) -> None:
    """Check that a parameter of a method is a whole number from `least` on.

    Raises
    ------
    MethodError
        Where it is not.
    """
    checks.whole(getattr(method, field), f"{method.title}: {field}", MethodError, least=least)


def real_number(
    method: CamMethod, field: str, least: float = -math.inf, most: float = math.inf
) -> None:
    """Check that a parameter of a method is a finite number from `least` to `most`.

    Raises
    ------
    MethodError
        Where it is not.
    """
    value, what = getattr(method, field), f"{method.title}: {field}"
    checks.number(value, what, MethodError, least=least, most=most)


def rescorer_of(evidence: Evidence) -> Rescorer:
    """Return the rescorer; a formula that asks for rescoring was given one."""
    if evidence.rescorer is None:
        raise MethodError("This method asks the network again, and was not given it.")
    return evidence.rescorer
