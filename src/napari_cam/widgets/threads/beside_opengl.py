"""Loading torch and its compiler into a process that draws."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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


def load_torch_libraries() -> None:
    """Load what torch is made of without holding Python's lock, ahead of ``import torch``.

    The import holds it for as long as the system loader takes (a quarter of a second), in which the
    window stands still though another thread imports. Only loading time is at stake: where nothing
    can be loaded here, the import does it all.
    """
    if not sys.platform.startswith("linux") or "torch" in sys.modules:
        return
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    # Unlike ctypes.CDLL(path), a call of a C function lets other threads run meanwhile.
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    folder = Path(found.origin).parent / "lib"
    # As torch does it: first what it shares with other packages, visible to them.
    for name, visible in (("libtorch_global_deps.so", os.RTLD_GLOBAL), ("libtorch.so", 0)):
        dlopen(os.fsencode(folder / name), os.RTLD_NOW | visible)


@contextmanager
def garbage_waits() -> Iterator[None]:
    """Collect no garbage while modules are imported.

    They make so many objects that Python walks through everything there is several times, and
    napari is large: the window stands still for 0.1 to 0.2 s each time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:
            # What was made is here to stay: it counts as old without being walked through once.
            gc.freeze()
            gc.unfreeze()
        if collecting:
            gc.enable()
