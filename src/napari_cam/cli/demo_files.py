"""What the demo writes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cam.cams.keys import MapKey
from napari_cam.cli.demo_results import NORMALIZE, RULE, TARGET, TRUTH_ABOVE, DemoResults
from napari_cam.cli.names import ResultNames
from napari_cam.files import writing
from napari_cam.provenance import stamp, to_json
from napari_cam.reports.contact_sheet import SheetRow, contact_sheet, save_contact_sheet
from napari_cam.volumes.writing import write_volume

_MARK = "demo.json"
_DAMAGED_SLICES = 4


def is_demo(folder: Path) -> bool:
    """Whether a folder was made by the demo, whose files there may be written anew."""
    try:
        facts = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        return isinstance(facts, dict) and facts.get("kind") == "demo"
    except (OSError, ValueError, RecursionError):
        return False


@dataclass(frozen=True)
class DemoFiles:
    """Where everything goes."""

    folder: Path
    heatmaps: dict[MapKey, Path]
    masks: dict[MapKey, Path]

    @property
    def sheet(self) -> Path:
        """The picture."""
        return self.folder / "contact_sheet.png"

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
        images = (self.volume, self.truth, *self.heatmaps.values(), *self.masks.values())
        return [self.sheet, *images, self.folder / _MARK]

    @classmethod
    def plan(cls, folder: Path, keys: Iterable[MapKey]) -> DemoFiles:
        """Name every file."""
        names = ResultNames()
        keys = list(keys)
        return cls(
            folder,
            {
                key: folder / "heatmaps" / names.take(("heatmap", *key.parts), ".nii.gz")
                for key in keys
            },
            {key: folder / "masks" / names.take(("mask", *key.parts), ".nii.gz") for key in keys},
        )

    def write(self, results: DemoResults, overwrite: bool) -> None:
        """Write every file; first the one that marks the folder as the demo's."""
        settings = {"truth_above": TRUTH_ABOVE, "rule": RULE, "normalize": NORMALIZE}
        facts = {
            **stamp(kind="demo", target=TARGET, **settings),
            "results": {" / ".join(key.parts): each for key, each in results.scores.items()},
            "guesses": results.guesses,
        }
        with writing(self.folder / _MARK, overwrite) as temporary:
            temporary.write_text(to_json(facts), encoding="utf-8")
        volume = results.phantom.volume
        origin = stamp(made_by="phantom", seed=results.phantom.seed)
        ours: dict[str, Any] = {"like": volume, "overwrite": overwrite}
        write_volume(self.volume, volume.values, provenance={**origin, "kind": "image"}, **ours)
        write_volume(self.truth, results.truth, provenance={**origin, "kind": "mask"}, **ours)
        for key, heatmap in results.maps.items():
            write_volume(self.heatmaps[key], heatmap, **ours)
            made = results.masks.provenance_of(key)
            write_volume(self.masks[key], results.masks[key], provenance=made, **ours)
        made = stamp(kind="contact sheet", target=TARGET, **settings)
        save_contact_sheet(draw(results), self.sheet, made, overwrite)


def draw(results: DemoResults) -> Any:
    """Return the contact sheet of the demo as a figure."""
    rows = [SheetRow("Image", caption="with the true damage")]
    for key, heatmap in results.maps.items():
        scores = results.scores[key]
        caption = f"Dice {scores['Dice']:.2f}, IoU {scores['IoU']:.2f}"
        rows.append(SheetRow(key.method.title, heatmap.values, results.masks[key], caption))
    slices = _slices(results)
    words = ["damaged" if results.truth[z].any() else "healthy" for z in slices]
    return contact_sheet(
        results.phantom.volume,
        rows,
        slices,
        truth=results.truth,
        title="Where the sample network saw damage",
        column_titles=[f"slice {z}: {word}" for z, word in zip(slices, words, strict=True)],
    )


def _slices(results: DemoResults) -> list[int]:
    """Return a healthy slice and some damaged ones, spread over the volume."""
    sizes = results.truth.sum(axis=(1, 2))
    damaged = np.flatnonzero(sizes > 0.2 * sizes.max())
    places = np.linspace(0, len(damaged) - 1, _DAMAGED_SLICES).round().astype(int)
    healthy = np.flatnonzero(sizes == 0)
    return sorted({int(healthy[len(healthy) // 2]), *damaged[places].tolist()})
