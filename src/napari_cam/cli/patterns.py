"""File patterns on the command line: not every shell looks them up itself."""

from __future__ import annotations

import glob
import os
from pathlib import Path


def matching(path: Path) -> list[Path]:
    """Return the files that a pattern names, in their order; `path` itself where it names none."""
    if os.path.exists(path) or not glob.has_magic(str(path)):
        return [path]
    return [Path(name) for name in sorted(glob.glob(str(path)))] or [path]
