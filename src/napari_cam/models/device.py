"""Where and in which precision a network runs, and what memory it has there."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn

from napari_cam.errors import DeviceError
from napari_cam.models.hooks import as_evaluated, plain_module

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to run on: "auto" takes CUDA, then MPS, then the CPU.

    Raises
    ------
    DeviceError
        Where a named device does not exist here.
    """
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(
            f"There is no device '{device}'; say auto, cpu, cuda, cuda:0 or mps."
        ) from error
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (chosen.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(chosen.type, False):
        raise DeviceError(f"The device '{device}' is not available here; use device='cpu'.")
    return chosen


def describe_device(device: str | torch.device = "auto") -> str:
    """Return where "auto" or a named device leads, in words for a window: "CUDA: NVIDIA H100".

    Raises
    ------
    DeviceError
        Where a named device does not exist here.
    """
    chosen = choose_device(device)
    if chosen.type == "cuda":
        return f"CUDA: {torch.cuda.get_device_name(chosen)}"
    if chosen.type == "mps":
        return "MPS: the GPU of this Mac"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def choose_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the dtype to autocast to, None for float32 ("auto" is float32 everywhere).

    Raises
    ------
    DeviceError
        Where the precision is unknown, or the device cannot compute in it.
    """
    if precision not in PRECISIONS:
        raise DeviceError(f"The precision is one of {', '.join(PRECISIONS)}, not '{precision}'.")
    if precision in ("auto", "float32"):
        return None
    if precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError("This GPU does not compute in bfloat16; use float16 or float32.")
    return torch.bfloat16 if precision == "bfloat16" else torch.float16


class _Exact:
    """How many ask for exact float32 at once, and what the settings were before the first."""

    guard = threading.Lock()
    asked = 0
    before: tuple[str, bool] = ("", False)


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 as float32: TensorFloat-32 would cost the agreement of CPU and GPU.

    The settings are those of the whole process, so the last of several threads puts them back.
    """
    with _Exact.guard:
        if _Exact.asked == 0:
            tf32 = torch.backends.cudnn.allow_tf32
            _Exact.before = (torch.get_float32_matmul_precision(), tf32)
            torch.set_float32_matmul_precision("highest")
            torch.backends.cudnn.allow_tf32 = False
        _Exact.asked += 1
    try:
        yield
    finally:
        with _Exact.guard:
            _Exact.asked -= 1
            if _Exact.asked == 0:
                torch.set_float32_matmul_precision(_Exact.before[0])
                torch.backends.cudnn.allow_tf32 = _Exact.before[1]


Fingerprint = tuple[tuple[int, ...], ...]
_COPIES: WeakKeyDictionary[nn.Module, dict[torch.device, tuple[Fingerprint, nn.Module]]] = (
    WeakKeyDictionary()
)


def on_device(module: nn.Module, device: torch.device) -> nn.Module:
    """Return `module` where it already lives on `device`, else a private copy that does.

    The user's module never moves. The copy is kept and made anew once a part was replaced or a
    weight has changed (but for changes through ``.data``, which torch does not count).
    """
    tensors = [*module.parameters(), *module.buffers()]
    if all(_same_device(tensor.device, device) for tensor in tensors):
        return module
    # Another thread may be running it, with its hooks on it: they must not be copied.
    with as_evaluated(plain_module(module), torch.device("cpu")):
        now = fingerprint(module)
        copies = _COPIES.setdefault(module, {})
        if device not in copies or copies[device][0] != now:
            copies.pop(device, None)
            copies[device] = (now, copy.deepcopy(module).to(device))
        return copies[device][1]


def fingerprint(module: nn.Module) -> Fingerprint:
    """Return what changes once a part is replaced or a weight changes (not through ``.data``)."""
    tensors = [*module.parameters(), *module.buffers()]
    parts = tuple(id(part) for part in module.modules())
    return (parts, *((t.data_ptr(), t._version) for t in tensors))  # noqa: SLF001


def _same_device(one: torch.device, other: torch.device) -> bool:
    return one.type == other.type and (one.index or 0) == (other.index or 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def release_memory(device: torch.device) -> None:
    """Give cached memory back to the device after it ran out."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
