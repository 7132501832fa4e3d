"""What made a result: versions, time and settings, as plain JSON without patient identity."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

_PACKAGES = ("napari-cam", "torch", "torchvision", "timm", "numpy", "scikit-image", "nibabel")


@cache
def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def stamp(**facts: Any) -> dict[str, Any]:
    """Return `facts` with the versions that were in use and the time in UTC, as plain JSON."""
    versions = {package: _installed(package) for package in _PACKAGES}
    versions["python"] = platform.python_version()
    made = datetime.now(UTC).isoformat(timespec="seconds")
    made_of: dict[str, Any] = plain({"versions": versions, "time": made, **facts})
    return made_of


def stamped(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return `facts` where :func:`stamp` made them, else nothing.

    A JSON file beside an image may be another program's, such as the headers that a converter of
    DICOM keeps, with the patient's name: records take over nothing of those.
    """
    versions = facts.get("versions")
    ours = isinstance(versions, Mapping) and "napari-cam" in versions
    return dict(facts) if ours else {}


def map_words(facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the method, layer and target that a heatmap's record states, "" for what it lacks."""
    method = facts.get("method")
    name = method.get("name") if isinstance(method, Mapping) else method
    stated = (name, facts.get("layer"), facts.get("target"))
    one, two, three = (str(word) if word else "" for word in stated)
    return one, two, three


def plain(value: Any) -> Any:
    """Return `value` in JSON's own types: arrays become lists, NaN and infinity None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def to_json(facts: Mapping[str, Any]) -> str:
    """Return `facts` as indented JSON text that ends in a newline."""
    return json.dumps(plain(facts), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
