"""Networks that docks ask: how they are loaded, which are open, and whose turn it is. No Qt."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from napari_cam.widgets.threads.beside_opengl import (
    garbage_waits,
    load_torch_libraries,
    load_triton_apart,
)

if TYPE_CHECKING:
    from napari_cam.models.layers.candidates import LayerInfo
    from napari_cam.models.loaded import LoadedModel
    from napari_cam.volumes.volume import Volume

SAMPLE, SAMPLE_SEGMENTATION = "sample", "sample:segmentation"
SAMPLES = (SAMPLE, SAMPLE_SEGMENTATION)
MODEL_FILES = "Model files (*.safetensors *.pt *.pth *.th *.ckpt *.bin *.pt2);;All files (*)"
"""What a file chooser offers."""

# One network looks at one batch at a time: hooks on a network are no business of two threads.
LOOKING = threading.Lock()


@dataclass(frozen=True)
class MethodHelp:
    """A method as the list shows it.

    `slow` ones run the network many times; those that do not `needs_layer` map the input itself.
    """

    name: str
    title: str
    summary: str
    reference: str
    slow: bool = False
    needs_layer: bool = True


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network and what can be asked of it.

    Attributes
    ----------
    source, architecture
        What it was loaded from: "sample" or a path, and the architecture the user named.
    model
        The network.
    layers
        Its candidate target layers; empty where they cannot be listed, and then `problem` says why.
    methods
        The methods there are.
    device
        Where it will run, in words.
    """

    source: str
    architecture: str | None
    model: LoadedModel
    layers: tuple[LayerInfo, ...]
    problem: str
    methods: tuple[MethodHelp, ...]
    device: str


OPEN_NETWORKS: WeakValueDictionary[str, Network] = WeakValueDictionary()
"""Networks that a dock holds, by the digest of their weights: others need not load them again."""


def load_network(
    source: str, architecture: str | None, device: str, precision: str
) -> Iterator[Network]:
    """Yield the network that `source` names; the first call loads torch."""
    _import_torch(compiler=source not in SAMPLES)  # the samples need no torchvision
    from napari_cam.cams.methods.table import METHODS
    from napari_cam.errors import NapariCamError
    from napari_cam.models.device import describe_device
    from napari_cam.models.files.model_files import load_model
    from napari_cam.models.layers.candidates import candidate_layers
    from napari_cam.sample import load_sample_model

    if source in SAMPLES:
        model = load_sample_model("classification" if source == SAMPLE else "segmentation")
    else:
        model = load_model(source, architecture)
    layers: tuple[LayerInfo, ...] = ()
    problem = ""
    try:
        with LOOKING:
            layers = tuple(candidate_layers(model))
    except NapariCamError as error:
        problem = str(error)
    methods = tuple(
        MethodHelp(
            method.name,
            method.title,
            method.summary,
            method.reference,
            slow="rescoring" in method.needs,
            needs_layer=method.space == "layer",
        )
        for method in METHODS.values()
    )
    place = describe_device(device)
    words = place if precision in ("auto", "float32") else f"{place}, {precision}"
    yield Network(source, architecture, model, layers, problem, methods, words)


# Maps of one image are kept for the table, so that larger inputs are shown at the card's own size.
_TRACED = {2: 1024**2, 3: 96**3}


def layers_of_image(
    model: LoadedModel, volume: Volume, axis: str | int | None
) -> Iterator[tuple[LayerInfo, ...]]:
    """Yield the candidate layers as they are for an image; nothing where that costs too much."""
    from napari_cam.models.layers.candidates import candidate_layers

    shape = model.sliced_along(axis).card.preparation.input_shape(volume)
    if shape[0] == model.card.in_channels and np.prod(shape[1:]) <= _TRACED[len(shape) - 1]:
        with LOOKING:
            layers = tuple(candidate_layers(model, shape))
        yield layers


def _import_torch(compiler: bool) -> None:
    """Import whatever a run needs, so that its first slice need not wait for it."""
    load_torch_libraries()
    with garbage_waits():
        if compiler:
            load_triton_apart()
        for name in ("cams.explain", "models.files.model_files", "sample"):
            importlib.import_module(f"napari_cam.{name}")
