"""The score of a class over a set of pixels, which turns every CAM into one for segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_cam.cams.targets.region_syntax import as_limit, as_region
from napari_cam.cams.targets.regions import (
    Mask,
    Painted,
    Prediction,
    Region,
    Slice,
    full_point,
)
from napari_cam.cams.targets.scores import (
    SCORE,
    Score,
    Scored,
    Target,
    checked_class,
    class_number,
    class_scores,
    class_word,
    resolved_class,
    two_classes,
)
from napari_cam.errors import TargetError
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.prepared import PreparedVolume


@dataclass(frozen=True)
class RegionScore:
    """The score of one class over a set M of pixels: y_{c,M} = sum over M of y_c.

    Rheude et al. 2024, eq. 5. Gradients are those of the sum; perturbation methods use the mean
    over M. M, and a class chosen by the network, are taken from the unperturbed output.

    Attributes
    ----------
    class_id
        Class by name or output index. None chooses, for each image, the label other than 0 (assumed
        to be background) with the most pixels, or 0 if there is no other.
    region
        "predicted": pixels for which the class is the network's choice (argmax); "all": every
        pixel; "p>0.5": pixels with a probability above 0.5; "component": the largest connected
        component of the predicted pixels; "component:z,y,x": the component at that voxel;
        "point:z,y,x"; "box:..."; a boolean mask; a function of the logits (n, classes, *o) that
        returns (n, *o); or an object of :mod:`napari_cam.cams.targets.regions`, such as
        ``Labelled(labels, 2)``. Regions given by position lie on the volume's grid (z, y, x), or in
        :func:`raw_cams` on the input's grid (*s).
    within
        Restricts the region to a slice (its number), a box or a mask.
    score
        "logit" y_c; "probability" softmax(y)_c (sigmoid if the network has one output map);
        "log_odds".
    name
        Display name of the class; filled in from the network's card.

    Notes
    -----
    A network with a single output map z is binary: class 1 has the score z and class 0 the score
    -z. If the output differs in size from the input, it is used at its own size, and regions on the
    image's grid are resampled to it by nearest neighbour.
    """

    class_id: int | str | None = None
    region: Any = "predicted"
    within: Any = None
    score: Score = "logit"
    name: str | None = None

    def __post_init__(self) -> None:
        SCORE.checked(self.score)
        object.__setattr__(self, "class_id", checked_class(self.class_id))
        object.__setattr__(self, "region", as_region(self.region))
        if self.within is not None:
            object.__setattr__(self, "within", as_limit(self.within))

    @property
    def label(self) -> str:
        """Return the class and the region: "tumour", "tumour where p > 0.5, in slice 3"."""
        word = class_word(self.class_id, self.name)
        limit = self.within.label if self.within is not None else ""
        places = ", ".join(filter(None, (self.region.label, limit)))
        words = f"{word} {places}" if places else word
        return words if self.score == "logit" else f"{words} ({self.score})"

    def facts(self) -> dict[str, Any]:
        """Return what is explained, as plain JSON without file names."""
        limit = {} if self.within is None else {"within": self.within.facts()}
        class_word_ = {"class": self.class_id, "score": self.score}
        return {**class_word_, **self.region.facts(), **limit}

    def resolved(self, model: LoadedModel | None) -> RegionScore:
        """Return this target with the class as an index.

        Raises
        ------
        TargetError
            If the network has no such class.
        """
        return replace(self, **resolved_class(self.class_id, self.name, model))

    def on_inputs(self, shape: Sequence[int]) -> BoundRegion:
        """Return this target for a batch (n, c, *s); its regions lie on the grid *s."""
        count, size = shape[0], tuple(shape[2:])
        point = self.region.point
        places = None
        if point is not None:
            self.region.on_grid(size)
            share = (np.array(full_point(point, size)) + 0.5) / np.array(size)
            places = np.broadcast_to(share, (count, len(size)))
        region = _on_inputs(self.region, count, size)
        limit = None if self.within is None else _on_inputs(self.within, count, size)
        return BoundRegion(self, region, limit, places)

    def on_units(self, prepared: PreparedVolume, units: Sequence[int]) -> BoundRegion:
        """Return this target for units of a volume; its regions lie on the grid (z, y, x).

        Raises
        ------
        TargetError
            If a region does not fit the volume.
        """
        shape = prepared.volume.shape
        axis = prepared.unit_axis if prepared.unit_axis is not None else prepared.volume.stack_axis

        def carried(region: Region | None) -> Mask | None:
            grid = None if region is None else region.on_grid(shape, axis)
            return None if grid is None else prepared.mask_batch(grid, units)

        places = None
        if self.region.point is not None:
            self.region.on_grid(shape)
            places = np.full((len(units), len(prepared.input_shape) - 1), np.nan)
            found = prepared.locate(full_point(self.region.point, shape))
            if found is not None and found[0] in units:
                places[list(units).index(found[0])] = found[1]
        return BoundRegion(self, carried(self.region), carried(self.within), places)

    def read(self, output: Tensor) -> Scored:
        """Return the score of every image; regions given by position lie on the output's grid.

        Parameters
        ----------
        output
            (n, classes, *o) logits, or (n, 1, *o).

        Raises
        ------
        TargetError
            If the output does not contain maps, or has no such class.
        """
        return self.on_inputs(_checked(output).shape).read(output)


@dataclass(frozen=True, eq=False)
class BoundRegion:
    """A region score for the images of one batch.

    Attributes
    ----------
    target
        What is explained.
    region, within
        (n, *s) bool on the inputs' grid, None where the region is not given by place.
    places
        (n, ndim) a point's place along each axis as a share of the input, NaN where it is not.
    """

    target: RegionScore
    region: Mask | None = None
    within: Mask | None = None
    places: NDArray[np.float64] | None = None

    @property
    def label(self) -> str:
        """Return the words of the target."""
        return self.target.label

    def resolved(self, model: LoadedModel | None) -> BoundRegion:
        """Return this with the class as an index."""
        return replace(self, target=self.target.resolved(model))

    def read(self, output: Tensor) -> Scored:
        """Return the summed score of every image's own region; see :meth:`RegionScore.read`."""
        logits = two_classes(_checked(output))
        binary = output.shape[1] == 1
        index = self._classes(logits.detach())
        chosen = self._choose(output.detach(), logits.detach(), index, binary)
        pixels = chosen.flatten(1).sum(1)
        score = self.target.score

        def summed(logits: Tensor, index: Tensor, chosen: Tensor) -> Tensor:
            values = class_scores(logits, index, score, binary)
            return torch.where(chosen, values, 0).flatten(1).sum(1)

        def again(changed: Tensor, of: Tensor) -> Tensor:
            total = summed(two_classes(_checked(changed)), index[of], chosen[of])
            return total / pixels[of].clamp(min=1)

        return Scored(summed(logits, index, chosen), index, again, pixels, chosen)

    def _classes(self, logits: Tensor) -> Tensor:
        n, classes = logits.shape[:2]
        if self.target.class_id is None:
            return largest_label(shares(logits))
        return torch.full((n,), class_number(self.target.class_id, classes), device=logits.device)

    def _choose(self, output: Tensor, logits: Tensor, index: Tensor, binary: bool) -> Tensor:
        places = index.reshape(-1, *(1,) * (logits.ndim - 2))
        predicted = logits.argmax(1) == places
        size = predicted.shape[1:]
        limit = None if self.within is None else _at_size(self.within, size, output.device)
        region: Region = self.target.region
        prediction = Prediction(
            output,
            # A component is one within the limits, not a piece of one that leads out of them.
            predicted if limit is None else predicted & limit,
            class_scores(logits, index, "probability", binary),
            None if self.region is None else _at_size(self.region, size, output.device),
            None if self.places is None else _pixels(self.places, size),
        )
        chosen = region.choose(prediction)
        return chosen if limit is None else chosen & limit


def shares(logits: Tensor) -> Tensor:
    """Return in which share of pixels each class is predicted: (n, classes, *o) -> (n, classes).

    A single output map z counts as the two classes (-z, z).
    """
    labels = two_classes(logits).argmax(1).flatten(1)
    classes = max(logits.shape[1], 2)
    counts = [(labels == number).sum(1) for number in range(classes)]
    return torch.stack(counts, 1) / labels.shape[1]


def largest_label(areas: Tensor) -> Tensor:
    """Return the class (n,) with the largest of `areas` (n, classes), 0 only where it is alone."""
    largest = areas[:, 1:].argmax(1) + 1
    return torch.where(areas[:, 1:].amax(1) > 0, largest, 0)


def bind_units(
    targets: Sequence[Target], prepared: PreparedVolume, units: Sequence[int]
) -> Mapping[Target, Target]:
    """Return the regions among `targets` as they lie in units of a volume."""
    return {
        target: target.on_units(prepared, units)
        for target in targets
        if isinstance(target, RegionScore)
    }


def bind_inputs(targets: Sequence[Target], shape: Sequence[int]) -> Mapping[Target, Target]:
    """Return the regions among `targets` as they lie in a batch (n, c, *s)."""
    return {t: t.on_inputs(shape) for t in targets if isinstance(t, RegionScore)}


def _on_inputs(region: Region, count: int, size: tuple[int, ...]) -> Mask | None:
    if isinstance(region, Slice) and len(size) == 2:
        raise TargetError("A batch of pictures has no slices; leave the slice out.")
    if isinstance(region, Painted) and region.values.shape == (count, *size):
        mask: Mask = region.values
        return mask
    grid = region.on_grid(size)
    return None if grid is None else np.broadcast_to(grid, (count, *size))


def _at_size(mask: Mask, size: torch.Size, device: torch.device) -> Tensor:
    """Return masks (n, *s) at the output's size (n, *o), by nearest neighbour."""
    given = torch.from_numpy(np.array(mask, dtype=np.uint8)).to(device)
    if given.shape[1:] != size:
        given = F.interpolate(given[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0]
    return given != 0


def _pixels(places: NDArray[np.float64], size: torch.Size) -> NDArray[np.int64]:
    lengths = np.array(size)
    with np.errstate(invalid="ignore"):
        pixels = np.minimum(np.floor(places * lengths), lengths - 1)
    return np.where(np.isfinite(places), pixels, -1).astype(np.int64)


def _checked(output: Tensor) -> Tensor:
    if output.ndim in (4, 5) and output.shape[1] > 0:
        return output
    raise TargetError(
        f"A region needs maps of scores (n, classes, height, width), and this network returns "
        f"{tuple(output.shape)}; for a classifier give a class, or ClassScore."
    )
