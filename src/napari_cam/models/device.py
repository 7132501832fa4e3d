"""Where a network runs."""

from __future__ import annotations

import torch

from napari_cam.errors import DeviceError


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
