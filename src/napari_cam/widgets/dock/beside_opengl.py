"""Loading torch's compiler into a process that draws."""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import suppress


def load_triton_apart() -> None:
    """Load Triton so that it finds its own LLVM and not that of OpenGL.

    torchvision imports torch's compiler and with it Triton, which brings an LLVM of its own. Where
    OpenGL runs on Mesa's LLVM (software drawing as on remote desktops, some AMD cards), Triton
    would be bound to that one, and the process ends with a segmentation fault.
    """
    if not sys.platform.startswith("linux") or "triton" in sys.modules:
        return
    if importlib.util.find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        # torch goes without it where it cannot be loaded.
        with suppress(ImportError):
            importlib.import_module("triton")
    finally:
        sys.setdlopenflags(flags)
