"""What a caller of load_model says about a network, and the card that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from napari_cam.errors import ModelError
from napari_cam.models.architectures.table import Architecture
from napari_cam.models.card import ModelCard
from napari_cam.models.files.matching import Sizes
from napari_cam.models.files.pretrained import (
    IMAGENET_CLASSES,
    imagenet_classes,
    imagenet_preparation,
)
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Pad, Resize


@dataclass(frozen=True, eq=False)
class LoadOptions:
    """What :func:`~napari_cam.models.files.model_files.load_model` was told.

    None or empty says nothing.
    """

    architecture: str | None = None
    class_names: tuple[str, ...] = ()
    in_channels: int | None = None
    spatial_ndim: Literal[2, 3] | None = None
    module: nn.Module | None = None
    preparation: Preparation | None = None
    default_layer: str | None = None
    task: Literal["classification", "segmentation"] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def amend(self, card: ModelCard) -> ModelCard:
        """Return `card` with what the caller says in the place of what it says.

        Raises
        ------
        ModelError
            Where the classes are not as many, or the preparation does not fit the network.
        """
        if self.class_names and len(self.class_names) != len(card.class_names or self.class_names):
            raise ModelError(
                f"The network has {len(card.class_names)} classes but class_names holds "
                f"{len(self.class_names)}; give one name for each."
            )
        return replace(
            card,
            class_names=self.class_names or card.class_names,
            preparation=self.preparation or card.preparation,
            default_layer=self.default_layer or card.default_layer,
            task=self.task or card.task,
        )

    def card_for(
        self,
        name: str,
        sizes: Sizes,
        row: Architecture | None = None,
        options: Mapping[str, Any] | None = None,
        size: tuple[int, ...] | None = None,
    ) -> ModelCard:
        """Return the card of a network that came without one.

        A 2D network of a thousand classes that nobody named, with three channels, has ImageNet's.

        Parameters
        ----------
        name
            How the architecture is called.
        sizes
            Of the network.
        row, options
            The architecture and what it was built with, where it is one that can be built.
        size
            *s, where it takes no other input size.
        """
        names, preparation = self.class_names, self.preparation
        shape = (sizes.n_classes, sizes.in_channels, sizes.spatial_ndim)
        task = self.task or (row.task if row is not None else "classification")
        classifies = task == "classification"
        if shape == (IMAGENET_CLASSES, 3, 2) and not names and classifies:
            names = imagenet_classes()
            plane = (size[0], size[1]) if size is not None else None
            preparation = preparation or imagenet_preparation(row, plane)
        if preparation is None:
            preparation = Preparation.default(sizes.spatial_ndim, sizes.in_channels)
            if size is not None:
                preparation = Preparation((*preparation.steps, Resize(size)))
            if row is not None and row.multiple_of > 1:
                pad = Pad(multiple_of=row.multiple_of)
                preparation = Preparation((*preparation.steps, pad))
        return ModelCard(
            architecture=name,
            task=task,
            spatial_ndim=sizes.spatial_ndim,
            class_names=names,
            in_channels=sizes.in_channels,
            preparation=preparation,
            default_layer=self.default_layer,
            architecture_options=options or {},
        )


def origin(ignored: tuple[str, ...]) -> dict[str, Any]:
    """Return the training notes of weights that came without a card."""
    notes: dict[str, Any] = {"weights": "a file without a model card"}
    if ignored:
        notes["ignored_weights"] = list(ignored)
    return notes


def check_class_names(path: Path, names: tuple[str, ...], n_classes: int | None) -> None:
    """Raise where there is not one name per class.

    A network with one output z is binary: it has two classes, of which the second scores z.
    """
    if not names or n_classes is None:
        return
    needed = 2 if n_classes == 1 else n_classes
    if len(names) != needed:
        outputs = "one output, which decides between 2" if n_classes == 1 else f"{n_classes}"
        raise ModelError(
            f"The network in {path} has {outputs} classes but class_names holds {len(names)}; "
            f"give {needed}."
        )
