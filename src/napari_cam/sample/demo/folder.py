"""What every demo's folder holds: the sample, its truth, heatmaps, and a mark of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.keys import MapKey
from napari_cam.files import writing
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.names import ResultNames
from napari_cam.provenance import stamp, to_json
from napari_cam.sample.phantom import Phantom
from napari_cam.volumes.writing import write_volume

_MARK = "demo.json"


def is_demo(folder: Path, kind: str) -> bool:
    """Whether a folder was made by a demo of that kind, whose files there may be written anew."""
    try:
        facts = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        return isinstance(facts, dict) and facts.get("kind") == kind
    except (OSError, ValueError, RecursionError):
        return False


def name_files(folder: Path, what: str, keys: Iterable[MapKey]) -> dict[MapKey, Path]:
    """Name a file of `folder` for each map: "heatmap_gradcam_features_damaged.nii.gz"."""
    names = ResultNames()
    return {key: folder / names.take((what, *key.parts), ".nii.gz") for key in keys}


@dataclass(frozen=True)
class DemoFolder:
    """Where everything goes that any demo writes."""

    folder: Path
    heatmaps: dict[MapKey, Path]

    @property
    def volume(self) -> Path:
        """The sample image."""
        return self.folder / "volume.nii.gz"

    @property
    def truth(self) -> Path:
        """Its truth."""
        return self.folder / "truth.nii.gz"

    @property
    def images(self) -> list[Path]:
        """Every file that has a sidecar, and the results."""
        return [self.volume, self.truth, *self.heatmaps.values(), self.folder / _MARK]

    def write_mark(self, facts: Mapping[str, Any], overwrite: bool) -> None:
        """Write the results as JSON, which marks the folder as a demo's: first of all files."""
        with writing(self.folder / _MARK, overwrite) as temporary:
            temporary.write_text(to_json(facts), encoding="utf-8")

    def write_sample(
        self, sample: Phantom, truth: NDArray[Any], overwrite: bool, **facts: Any
    ) -> None:
        """Write the image and its truth, of which `facts` are true."""
        origin = stamp(made_by="phantom", seed=sample.seed)
        ours: dict[str, Any] = {"like": sample.volume, "overwrite": overwrite}
        image = np.asarray(sample.volume.values)
        write_volume(self.volume, image, provenance={**origin, "kind": "image"}, **ours)
        write_volume(self.truth, truth, provenance={**origin, "kind": "mask", **facts}, **ours)

    def write_heatmaps(self, maps: Maps[MapKey, Heatmap], sample: Phantom, overwrite: bool) -> None:
        """Write every heatmap."""
        for key, heatmap in maps.items():
            write_volume(self.heatmaps[key], heatmap, like=sample.volume, overwrite=overwrite)
