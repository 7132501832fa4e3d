"""The model card: what a network expects and what its outputs mean. It travels with the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from napari_cam import checks
from napari_cam.errors import ModelError
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.prepared import PreparedVolume
from napari_cam.provenance import plain
from napari_cam.text_tables import fact_lines
from napari_cam.volumes.volume import Volume

FORMAT_VERSION = 1
# What each field must be: a test and the words for it.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "architecture": (lambda v: isinstance(v, str) and v != "", "a name"),
    "task": (
        lambda v: v in ("classification", "segmentation"),
        "'classification' or 'segmentation'",
    ),
    "spatial_ndim": (lambda v: type(v) is int and v in (2, 3), "2 or 3"),
    "class_names": (
        lambda v: isinstance(v, (tuple, list)) and all(isinstance(n, str) and n for n in v),
        "a list of names",
    ),
    "in_channels": (lambda v: type(v) is int and v >= 1, "a whole number from 1 on"),
    "preparation": (lambda v: isinstance(v, Preparation), "a Preparation"),
    "default_layer": (lambda v: v is None or (isinstance(v, str) and v != ""), "a layer's name"),
    "architecture_options": (lambda v: isinstance(v, Mapping), "an object of arguments"),
    "training": (lambda v: isinstance(v, Mapping), "an object of notes"),
}


@dataclass(frozen=True)
class ModelCard:
    """What a network expects and what its outputs mean.

    Attributes
    ----------
    architecture
        Name in the table of architectures, or any name for your own module.
    task
        "classification" (one score per class) or "segmentation" (one score per class and pixel).
    spatial_ndim
        2 for slices and pictures, 3 for whole volumes.
    class_names
        One name per output; empty if the outputs have no names.
    in_channels
        Number of input channels.
    preparation
        The steps from stored voxels to the network's input, the same in training and explanation.
    default_layer
        Target layer to explain if none is given; None for the tensor that enters global pooling.
    architecture_options
        Arguments that rebuild the architecture, as JSON.
    training
        Free notes, as JSON: source of the weights, seed, split hash, salted hashes of the training
        subjects, metrics, versions.

    Raises
    ------
    ModelError
        If a value has the wrong type, or the preparation does not fit the network.
    """

    architecture: str
    task: Literal["classification", "segmentation"]
    spatial_ndim: Literal[2, 3]
    class_names: tuple[str, ...]
    in_channels: int
    preparation: Preparation
    default_layer: str | None = None
    architecture_options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_types()
        object.__setattr__(self, "class_names", tuple(self.class_names))
        for name in ("architecture_options", "training"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        if self.preparation.spatial_ndim != self.spatial_ndim:
            problem = (
                "has no step 'slices', which a 2D network needs"
                if self.spatial_ndim == 2
                else "cuts slices, which a 3D network does not take"
            )
            raise ModelError(
                f"The network is {self.spatial_ndim}D but its preparation {problem}; "
                "correct the preparation or spatial_ndim."
            )
        prepared = self.preparation.fixed_channels
        if prepared not in (None, self.in_channels):
            raise ModelError(
                f"The network takes {self.in_channels} channels but its preparation makes "
                f"{prepared}; correct the 'channels' step or in_channels."
            )

    def _check_types(self) -> None:
        given: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        for name, value in given.items():
            fits, wanted = _FIELDS[name]
            if not fits(value):
                raise ModelError(f"The model card's {name} is {wanted}, not {value!r}.")

    def bind(self, volume: Volume) -> PreparedVolume:
        """Prepare `volume` for this network.

        Raises
        ------
        PreparationError
            If a step does not fit the volume.
        ModelError
            If the volume does not have the channels that the network needs.
        """
        prepared = self.preparation.bind(volume)
        channels = prepared.input_shape[0]
        if channels != self.in_channels:
            raise ModelError(
                f"The network takes {self.in_channels} channels but gets {channels} from an image "
                f"with {volume.n_channels}; add a 'channels' step to its preparation."
            )
        return prepared

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON."""
        card = {item.name: getattr(self, item.name) for item in fields(self)}
        card["preparation"] = self.preparation.to_json()
        return {"format_version": FORMAT_VERSION, **plain(card)}

    @classmethod
    def from_json(cls, card: Any) -> ModelCard:
        """Return the card that :meth:`to_json` described.

        Raises
        ------
        ModelError
            If the card was written by a newer version, or a key is unknown, missing or wrong.
        PreparationError
            If its preparation is not valid.
        """
        if not isinstance(card, Mapping):
            raise ModelError(f"A model card is an object with keys, not {type(card).__name__}.")
        stated, what = card.get("format_version"), "The model card's format_version"
        version = checks.whole(stated, what, ModelError, least=1)
        if version > FORMAT_VERSION:
            raise ModelError(
                f"The model card has format version {version} but this napari-cam reads up to "
                f"{FORMAT_VERSION}; update napari-cam."
            )
        values = {key: value for key, value in card.items() if key != "format_version"}
        known = [item.name for item in fields(cls)]
        if unknown := [str(key) for key in values if key not in known]:
            raise ModelError(
                f"The model card holds unknown keys ({', '.join(unknown)}); "
                f"a card has {', '.join(known)}."
            )
        if missing := [key for key in known if key not in values]:
            raise ModelError(f"The model card lacks {', '.join(missing)}; save the model anew.")
        return cls(**{**values, "preparation": Preparation.from_json(values["preparation"])})

    def describe(self) -> str:
        """Return the card as readable text, one fact per line."""
        names = ", ".join(self.class_names[:8]) or "unnamed"
        if len(self.class_names) > 8:
            names += f", ... ({len(self.class_names)} in all)"
        unit = "slices" if self.spatial_ndim == 2 else "whole volumes"
        options = ", ".join(f"{k}={v!r}" for k, v in self.architecture_options.items())
        facts = {
            "architecture": f"{self.architecture} ({options})" if options else self.architecture,
            "task": f"{self.task} of {unit} ({self.spatial_ndim}D)",
            "classes": names,
            "channels": self.in_channels,
            "target layer": self.default_layer or "what enters global pooling",
            "preparation": "\n".join(map(str, self.preparation.steps or ("none",))),
        }
        notes = {key: _readable(value) for key, value in self.training.items()}
        return "\n".join(filter(None, (fact_lines(facts), fact_lines(notes))))


def _readable(note: Any) -> str:
    """Return a training note as text: nested notes by name, long lists by their length."""
    if isinstance(note, Mapping):
        parts = {key: _readable(value) for key, value in note.items()}
        nested = {key for key, value in note.items() if isinstance(value, Mapping)}
        return ", ".join(f"{k} ({v})" if k in nested else f"{k} {v}" for k, v in parts.items())
    if isinstance(note, list) and len(note) > 8:
        return f"({len(note)} entries)"
    if isinstance(note, list):
        return "[" + ", ".join(map(_readable, note)) + "]"
    return f"{note:.4g}" if isinstance(note, float) else str(note)
