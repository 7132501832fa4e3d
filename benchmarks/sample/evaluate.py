"""Does the sample network look where the damage is? Measured on fillets it has never seen.

Run: ``python benchmarks/sample/evaluate.py`` prints the tables of ``docs/sample.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from napari_cam.cams.explain import explain
from napari_cam.models.architectures.building import build
from napari_cam.models.files.model_files import load_model
from napari_cam.models.loaded import LoadedModel, wrap_model
from napari_cam.reports.localisation import (
    area_share,
    centred_gaussian,
    energy_inside,
    image_intensity,
    peak_inside,
)
from napari_cam.sample import load_sample_model
from napari_cam.sample.cohort import (
    CLASS_NAMES,
    DAMAGED,
    DAMAGED_ABOVE,
    HEALTHY,
    TEST,
    slice_labels,
)
from napari_cam.sample.phantom import Phantom
from napari_cam.statistics.bootstrap import pooled_ratio
from napari_cam.statistics.intervals import Proportion

_RANDOM_NETWORKS = 5


@dataclass(frozen=True, eq=False)
class Localisation:
    """What was measured; m damaged slices of several volumes, in one order throughout.

    Attributes
    ----------
    energy
        Name of a map -> (m,) share of its energy where damage is above 0.5.
    peak
        Name of a map -> (m,) whether its maximum lies there, 0 or 1 (a share where several
        networks are averaged; NaN for the flat map, which has none).
    volume
        (m,) seed of the volume that each slice is of.
    healthy, damaged
        How many slices of each class the network recognises.
    """

    energy: dict[str, NDArray[np.float64]] = field(repr=False)
    peak: dict[str, NDArray[np.float64]] = field(repr=False)
    volume: NDArray[np.int64] = field(repr=False)
    healthy: Proportion
    damaged: Proportion

    @property
    def accuracy(self) -> Proportion:
        """Slices of either class that the network recognises."""
        hits = self.healthy.successes + self.damaged.successes
        return Proportion(hits, self.healthy.n + self.damaged.n)

    def lead(self, name: str, over: str) -> tuple[float, float, float]:
        """Return by how much the energy of `name` exceeds that of `over`, with its 95 % interval.

        Slices of one volume resemble each other, so whole volumes are drawn anew (bootstrap).
        """
        differences = self.energy[name] - self.energy[over]
        place = np.unique(self.volume, return_inverse=True)[1]
        return pooled_ratio(np.bincount(place, differences), np.bincount(place))

    @property
    def peak_inside(self) -> Proportion:
        """Slices in which the Grad-CAM's maximum lies where damage is above 0.5."""
        return Proportion.of(self.peak["Grad-CAM"] == 1)

    def wins(self, name: str, over: str) -> Proportion:
        """Return in how many slices the energy of `name` exceeds that of `over`."""
        return Proportion.of(self.energy[name] > self.energy[over])


def evaluate(
    model: LoadedModel,
    phantoms: Iterable[Phantom],
    random_networks: int = _RANDOM_NETWORKS,
    tick: Callable[[], None] | None = None,
) -> Localisation:
    """Compare the network's Grad-CAM for "damaged" with the truth, and with knowing nothing.

    Baselines: a flat map over the tissue (its energy is the damage's share of the area), a
    Gaussian as wide as the tissue at its middle, the image's own intensity in the tissue, and
    Grad-CAM in the tissue of the same architecture with random weights, averaged over several.
    All of them are told where the tissue is; the network's own Grad-CAM is not.

    Parameters
    ----------
    model
        A network of the classes "healthy" and "damaged".
    phantoms
        None of which it was trained on.
    random_networks
        How many networks with random weights.
    tick
        Called after each phantom.
    """
    strangers = [_untrained(model, seed) for seed in range(random_networks)]
    rows: list[dict[str, tuple[float, float]]] = []
    volumes: list[int] = []
    hits: dict[int, list[bool]] = {HEALTHY: [], DAMAGED: []}
    for one in phantoms:
        labels = slice_labels(one)
        heatmap, predicted = _gradcam(model, one)
        for kind, found in hits.items():
            found += (predicted[labels == kind] == kind).tolist()
        slices = np.flatnonzero(labels == DAMAGED)
        others = [_gradcam(stranger, one)[0] for stranger in strangers] if len(slices) else []
        for z in slices:
            rows.append(_compare(one, int(z), heatmap, others))
            volumes.append(one.seed)
        if tick is not None:
            tick()
    return Localisation(
        {name: np.array([row[name][0] for row in rows]) for name in rows[0]},
        {name: np.array([row[name][1] for row in rows]) for name in rows[0]},
        np.array(volumes),
        Proportion.of(hits[HEALTHY]),
        Proportion.of(hits[DAMAGED]),
    )


def _gradcam(model: LoadedModel, one: Phantom) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the heatmap (z, y, x) for "damaged" and the class predicted for each slice (z,)."""
    maps = explain(model, one.volume, "gradcam", "damaged", normalize="none", batch_size=32)
    return maps["gradcam"].values, maps["gradcam"].predicted_index


def _untrained(model: LoadedModel, seed: int) -> LoadedModel:
    card = model.card
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = build(
            card.architecture,
            len(CLASS_NAMES),
            card.in_channels,
            card.spatial_ndim,
            **card.architecture_options,
        )
    return wrap_model(module.eval(), CLASS_NAMES, card.in_channels, preparation=card.preparation)


def _compare(
    one: Phantom, z: int, heatmap: NDArray[np.float32], others: list[NDArray[np.float32]]
) -> dict[str, tuple[float, float]]:
    """Return for one slice the energy inside and whether the peak is, of the map and baselines."""
    truth, tissue = one.damage[z] > DAMAGED_ABOVE, one.tissue[z]
    bright = image_intensity(one.volume.values[z], tissue)
    # A network of random weights may hold no evidence for the class; those that do are averaged.
    strangers = [_score(np.where(tissue, other[z], 0), truth) for other in others]
    seen = [score for score in strangers if not np.isnan(score[0])]
    flat = (area_share(truth, tissue), float("nan"))
    return {
        "Grad-CAM": _score(heatmap[z], truth),
        "area": flat,
        "centred Gaussian": _score(centred_gaussian(tissue), truth),
        "image intensity": _score(bright, truth),
        "random weights": tuple(np.mean(seen, axis=0).tolist()) if seen else flat,
    }


def _score(heatmap: NDArray[np.float32], truth: NDArray[np.bool_]) -> tuple[float, float]:
    return energy_inside(heatmap, truth), float(peak_inside(heatmap, truth))


def markdown(found: Localisation) -> str:
    """Return the measurements as Markdown."""
    n_volumes = len(np.unique(found.volume))
    lines = [
        f"{len(found.volume)} damaged slices of {n_volumes} unseen volumes.",
        "",
        "| map | energy inside | Grad-CAM leads by (95 % interval) | in slices | peak inside |",
        "|---|---|---|---|---|",
    ]
    for name, energy in found.energy.items():
        lead = wins = ""
        if name != "Grad-CAM":
            mean, low, high = found.lead("Grad-CAM", name)
            lead = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
            wins = f"{100 * found.wins('Grad-CAM', name).share:.1f} %"
        peak = "" if name == "area" else f"{100 * np.nanmean(found.peak[name]):.1f} %"
        lines.append(f"| {name} | {energy.mean():.3f} | {lead} | {wins} | {peak} |")
    lines += ["", f"Grad-CAM's peak lies inside in {found.peak_inside}."]
    lines += [
        "",
        "| slices | recognised |",
        "|---|---|",
        f"| healthy | {found.healthy} |",
        f"| damaged | {found.damaged} |",
        f"| all | {found.accuracy} |",
    ]
    return "\n".join(lines)


def main(
    model: Annotated[Path | None, typer.Option(help="Model file; the shipped one if none.")] = None,
    volumes: Annotated[int, typer.Option(min=1, help="Unseen volumes.")] = TEST.n,
) -> None:
    """Measure the sample network on unseen phantoms and print the tables of docs/sample.md."""
    network = load_sample_model() if model is None else load_model(model)
    print(markdown(evaluate(network, TEST.phantoms(volumes))))


if __name__ == "__main__":
    typer.run(main)
