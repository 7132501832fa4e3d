"""A network's scores before the softmax or sigmoid that it may end in.

Probabilities saturate: where a network is sure, their gradient is rounding. What is explained are
logits, so a final softmax or sigmoid inside the network is recognised and its input is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from napari_cam.models.layers.trace import logits_of

_ENDINGS = frozenset({"softmax", "_softmax", "sigmoid", "expit", "special_expit", "sigmoid_"})
_LEARNED = ("conv", "linear", "matmul", "addmm", "bmm", "einsum")
# How far the sum of probabilities may be from 1 through rounding (half precision: 8 bits).
_SUM = 2e-2
_SMALLEST = 1e-30

MET = (
    "The network ends in a {name}, whose input is explained: scores are logits, not probabilities."
)
NOT_MET = (
    "The network returns probabilities whose logits could not be met, so their logarithm (for one "
    "output map the log odds) is explained."
)


class _Ending(TorchFunctionMode):
    """Keeps the last softmax or sigmoid of a forward pass, until something learned follows."""

    def __init__(self) -> None:
        super().__init__()
        self.name = ""
        self.taken: Tensor | None = None
        self.given: Tensor | None = None

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "").partition(".")[0]
        ending = name in _ENDINGS
        taken = None
        if ending:
            first = args[0] if args else (kwargs or {}).get("input")
            # In place, the logits are gone once the function has run.
            taken = first.clone() if name.endswith("sigmoid_") and first is not None else first
        result = func(*args, **(kwargs or {}))
        if ending and isinstance(result, Tensor):
            self.name, self.taken, self.given = name.strip("_"), taken, result
        elif self.given is not None and any(word in name for word in _LEARNED):
            self.taken = self.given = None
        return result


def logits_and_note(forward: Callable[[], Any]) -> tuple[Tensor, str]:
    """Run a network and return its logits, and a note where they are not simply its output.

    A function call whose result is the network's output itself, or holds the same numbers in
    another shape, is undone by reading its input. Where the output was changed after it (cut,
    enlarged), the logarithm of the probabilities stands for the logits.
    """
    ending = _Ending()
    with ending:
        output = logits_of(forward())
    if ending.given is None or ending.taken is None or output.ndim < 2:
        return output, ""
    if _same(ending.given, output) and ending.taken.shape == ending.given.shape:
        name = "softmax" if "softmax" in ending.name else "sigmoid"
        return ending.taken.reshape(output.shape), MET.format(name=name)
    if output.shape[1] == 1 and "softmax" not in ending.name and _in_unit(output):
        inside = output.clamp(_SMALLEST, 1 - torch.finfo(output.dtype).eps)
        return inside.log() - (-inside).log1p(), NOT_MET
    if output.shape[1] > 1 and _in_unit(output) and _sums_to_one(output):
        return output.clamp(min=_SMALLEST).log(), NOT_MET
    return output, ""


def _same(given: Tensor, output: Tensor) -> bool:
    """Whether two tensors are one, or one is a reshaped view of the other."""
    if given is output:
        return True
    alike = given.numel() == output.numel() and given.dtype == output.dtype
    if not alike or given.data_ptr() != output.data_ptr():
        return False
    return given.is_contiguous() and output.is_contiguous()


def _in_unit(output: Tensor) -> bool:
    found = output.detach()
    # An image with NaN pixels says nothing of the network, and must not decide for the others.
    return bool((((found >= 0) & (found <= 1)) | found.isnan()).all())


def _sums_to_one(output: Tensor) -> bool:
    total = output.detach().sum(1)
    return bool((((total - 1).abs() <= _SUM) | total.isnan()).all())
