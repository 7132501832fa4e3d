"""The model card: JSON both ways, strictness, what it tells."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_cam.errors import ModelError, PreparationError
from napari_cam.models.card import ModelCard
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Resize, Slices, Standardize
from napari_cam.volumes.volume import Volume

pytestmark = pytest.mark.quick


def card(**changes) -> ModelCard:
    values = {
        "architecture": "resnet18",
        "task": "classification",
        "spatial_ndim": 2,
        "class_names": ("healthy", "damaged"),
        "in_channels": 3,
        "preparation": Preparation.imagenet(),
        "default_layer": "layer4",
        "architecture_options": {"widths": (8, 16), "bias": False},
        "training": {
            "seed": 7,
            "split": "9f2c",
            "subjects": ["a1", "b2"],
            "accuracy": np.float64(0.75),
            "interval": (0.5, float("nan")),
        },
    }
    return ModelCard(**{**values, **changes})


def test_the_card_survives_json_exactly():
    first = card()
    again = ModelCard.from_json(json.loads(json.dumps(first.to_json(), allow_nan=False)))
    assert again == first
    assert again.class_names == ("healthy", "damaged")
    assert again.architecture_options == {"widths": [8, 16], "bias": False}
    assert again.training["accuracy"] == 0.75
    assert again.training["interval"] == [0.5, None]
    bare = card(class_names=(), default_layer=None, architecture_options={}, training={})
    assert ModelCard.from_json(bare.to_json()) == bare


def test_the_format_is_as_stated():
    assert card().to_json()["format_version"] == 1
    assert sorted(card().to_json()) == [
        "architecture",
        "architecture_options",
        "class_names",
        "default_layer",
        "format_version",
        "in_channels",
        "preparation",
        "spatial_ndim",
        "task",
        "training",
    ]
    assert card().to_json()["preparation"][2] == {"step": "slices", "axis": "acquisition"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format_version": 2}, "format version 2 but this napari-cam reads up to 1; update"),
        ({"format_version": "1"}, "format_version is a whole number"),
        ({"format_version": True}, "format_version is a whole number"),
        ({"format_version": 0}, "format_version is a whole number"),
        ({"colour": 3}, r"unknown keys \(colour\); a card has architecture, task"),
        ({"architecture": ""}, "architecture is a name, not ''"),
        ({"architecture": 18}, "architecture is a name, not 18"),
        ({"task": "detection"}, "task is 'classification' or 'segmentation', not 'detection'"),
        ({"task": ["classification"]}, "task is 'classification' or"),
        ({"spatial_ndim": 4}, "spatial_ndim is 2 or 3"),
        ({"spatial_ndim": 2.0}, "spatial_ndim is 2 or 3"),
        ({"spatial_ndim": 3}, "network is 3D but its preparation cuts slices"),
        ({"class_names": "ab"}, "class_names is a list of names, not 'ab'"),
        ({"class_names": ["a", 3]}, "class_names is a list of names"),
        ({"in_channels": 0}, "in_channels is a whole number from 1 on"),
        ({"in_channels": True}, "in_channels is a whole number from 1 on"),
        ({"in_channels": 4}, "network takes 4 channels but its preparation makes 3"),
        ({"default_layer": 3}, "default_layer is a layer's name"),
        ({"architecture_options": []}, "architecture_options is an object"),
        ({"training": "none"}, "training is an object of notes"),
    ],
)
def test_a_bad_card_is_refused(changes, sentence):
    with pytest.raises(ModelError, match=sentence) as caught:
        ModelCard.from_json({**card().to_json(), **changes})
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    values = card().to_json()
    del values["training"], values["task"]
    with pytest.raises(ModelError, match="lacks task, training"):
        ModelCard.from_json(values)
    with pytest.raises(ModelError, match="format_version"):
        ModelCard.from_json({})
    for nothing in (None, [], "card"):
        with pytest.raises(ModelError, match="an object with keys"):
            ModelCard.from_json(nothing)


def test_a_bad_preparation_in_a_card_is_named():
    values = card().to_json()
    values["preparation"][3]["size"] = -4
    with pytest.raises(PreparationError, match="'resize': size is a whole number from 1 on"):
        ModelCard.from_json(values)
    with pytest.raises(ModelError, match="preparation is a Preparation, not None"):
        card(preparation=None)


def test_a_2d_network_needs_slices():
    with pytest.raises(ModelError, match="network is 2D but its preparation has no step 'slices'"):
        card(preparation=Preparation.default(3, 3))
    assert card(preparation=Preparation.default(3, 3), spatial_ndim=3).spatial_ndim == 3


@pytest.mark.parametrize(
    ("steps", "channels"),
    [
        ((Slices(), Channels("mean")), 1),
        ((Slices(), Channels("select", indices=(0, 3))), 2),
        ((Slices(), Channels("mean"), Channels("replicate", count=3)), 3),
        ((Slices(), Standardize((0, 0, 0, 0), (1, 1, 1, 1))), 4),
        ((Slices(), Channels("as_is", count=5)), 5),
    ],
)
def test_the_channels_that_the_steps_decide_must_be_the_networks(steps, channels):
    assert card(preparation=Preparation(steps), in_channels=channels).in_channels == channels
    with pytest.raises(ModelError, match=f"preparation makes {channels}"):
        card(preparation=Preparation(steps), in_channels=channels + 1)


def test_binding_checks_the_volume_against_the_network():
    free = card(preparation=Preparation((Slices(), Resize(8))))
    volume = Volume.from_array(np.zeros((2, 4, 5)))
    with pytest.raises(ModelError, match="takes 3 channels but gets 1 from an image with 1"):
        free.bind(volume)
    assert card().bind(volume).input_shape == (3, 224, 224)


def test_describe_reads_well():
    lines = card().describe().splitlines()
    assert lines[0] == "architecture   resnet18 (widths=[8, 16], bias=False)"
    assert lines[1] == "task           classification of slices (2D)"
    assert lines[2] == "classes        healthy, damaged"
    assert "preparation    orient(letters='IPL')" in lines
    assert "               slices(axis='acquisition')" in lines
    assert lines[-1] == "interval       [0.5, None]"
    many = card(class_names=tuple(f"class {i}" for i in range(1000)), default_layer=None)
    assert "class 7, ... (1000 in all)" in many.describe()
    assert "target layer   what enters global pooling" in many.describe()


def test_describe_keeps_long_notes_short():
    notes = {
        "subjects": {"salt": "a1", "sha256": ["0f" * 32] * 90},
        "metrics": {"loss": 0.123456789, "accuracy": {"n": 458, "interval": [0.9387, 0.975]}},
    }
    lines = card(training=notes).describe().splitlines()
    assert "subjects       salt a1, sha256 (90 entries)" in lines
    assert "metrics        loss 0.1235, accuracy (n 458, interval [0.9387, 0.975])" in lines
