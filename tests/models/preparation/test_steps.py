"""Step parameters: JSON both ways, and a named refusal of everything else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_cam.errors import PreparationError
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import (
    STEPS,
    Channels,
    Contrast,
    Crop,
    Divide,
    Foreground,
    Orient,
    Pad,
    Rescale,
    Resize,
    Slices,
    Spacing,
    Standardize,
    Threshold,
    Window,
    ZScore,
)

pytestmark = pytest.mark.quick

EXAMPLES = [
    Orient(),
    Orient("RAS"),
    Slices(),
    Slices("sagittal"),
    Slices(2),
    Foreground(),
    Foreground("kmeans", fill=0),
    Foreground("nonzero", fill=-0.1),
    Spacing((0.1, None)),
    Spacing([1, 2.5, 3], antialias=False),
    Crop(128),
    Crop((128, 96), start=(3, 0)),
    Crop([5, 6, 7], start=[0, 1, 2]),
    Pad(size=64),
    Pad(size=(70, 60), multiple_of=(32, 16), mode="reflect"),
    Pad(multiple_of=8, value=-1000),
    Resize(224),
    Resize((320, 256), antialias=False),
    Resize(96, mode="shorter"),
    Rescale(),
    Rescale(0.1, 99.9, clip=False, per_channel=False),
    Window(-160, 240),
    Divide(4096),
    Threshold(0.8, high=255),
    ZScore(),
    ZScore(per_channel=False),
    Contrast("stretch"),
    Contrast("equalize", bins=1000),
    Contrast("clahe", clip_limit=0.01, tiles=4, tile_bins=128),
    Channels("replicate", count=3),
    Channels("select", indices=(2, 0)),
    Channels("mean"),
    Channels("as_is"),
    Channels("as_is", count=4),
    Standardize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
]


@pytest.mark.parametrize("step", EXAMPLES, ids=str)
def test_a_step_survives_json_exactly(step):
    text = json.dumps(step.to_json(), allow_nan=False)
    parameters = json.loads(text)
    assert parameters.pop("step") == step.name
    assert STEPS[step.name].from_json(parameters) == step
    assert STEPS[step.name] is type(step)


def test_every_step_has_an_example():
    assert {type(step) for step in EXAMPLES} == set(STEPS.values())


def test_json_is_as_the_format_says():
    assert Resize((224, 192)).to_json() == {
        "step": "resize",
        "size": [224, 192],
        "mode": "exact",
        "antialias": True,
    }
    assert Spacing((1, None)).to_json() == {
        "step": "spacing",
        "mm": [1.0, None],
        "antialias": True,
    }
    assert list(STEPS) == [
        "orient",
        "slices",
        "foreground",
        "spacing",
        "crop",
        "pad",
        "resize",
        "rescale",
        "window",
        "divide",
        "threshold",
        "z_score",
        "contrast",
        "channels",
        "standardize",
    ]


def test_numbers_of_numpy_are_taken_as_plain_ones():
    step = Crop(np.int64(7), start=(np.int32(1), 2))
    assert json.dumps(step.to_json())
    assert step == Crop(7, (1, 2))
    assert Divide(np.float32(0.5)).by == 0.5


REFUSED = [
    ({"step": "resizing", "size": 3}, "no preparation step 'resizing'; there are orient, slices"),
    ({"step": "resize", "sizes": 3}, "'resize': it has no parameter 'sizes'; it has size, mode"),
    ({"step": "resize"}, "'resize': its parameter 'size' is missing"),
    ({"step": "resize", "size": 0}, "'resize': size is a whole number from 1 on, not 0"),
    ({"step": "resize", "size": 224.0}, "size is a whole number"),
    ({"step": "resize", "size": True}, "size is a whole number"),
    ({"step": "resize", "size": "224"}, "size is a whole number"),
    ({"step": "resize", "size": []}, "size is a list of whole numbers"),
    ({"step": "resize", "size": [3, 4, 5]}, "size needs 2 numbers .rows, columns. for a 2D"),
    ({"step": "resize", "size": 3, "mode": "fit"}, "mode is one of 'exact', 'shorter', 'longer'"),
    ({"step": "resize", "size": [3, 4], "mode": "shorter"}, "mode 'shorter' takes one size"),
    ({"step": "resize", "size": 3, "antialias": 1}, "antialias is true or false, not 1"),
    ({"step": "spacing", "mm": 1.0}, "mm is a list of numbers"),
    ({"step": "spacing", "mm": [1.0, 0.0]}, "mm is a finite number above 0, not 0.0"),
    ({"step": "spacing", "mm": [1.0]}, "mm needs 2 numbers"),
    ({"step": "crop", "size": 3, "start": "middle"}, "start is 'centre' or one index per axis"),
    ({"step": "crop", "size": 3, "start": [-1, 0]}, "start is a whole number from 0 on, not -1"),
    ({"step": "crop", "size": 3, "start": [1]}, "start needs 2 numbers"),
    ({"step": "pad"}, "'pad': give size, multiple_of or both"),
    ({"step": "pad", "size": 3, "mode": "wrap"}, "mode is one of 'constant', 'edge', 'reflect'"),
    ({"step": "pad", "size": 3, "value": "0"}, "value is a finite number, not '0'"),
    ({"step": "pad", "multiple_of": [2, 2, 2]}, "multiple_of needs 2 numbers"),
    ({"step": "orient", "letters": "LAP"}, "letters are three directions"),
    ({"step": "orient", "letters": "ras"}, "letters are three directions"),
    ({"step": "orient", "letters": 3}, "letters are three directions"),
    ({"step": "slices", "axis": "oblique"}, "axis is one of 'acquisition', 'axial'"),
    ({"step": "slices", "axis": 3}, "axis is one of"),
    ({"step": "slices", "axis": True}, "axis is one of"),
    ({"step": "foreground", "method": "magic"}, "method is one of 'otsu', 'kmeans', 'nonzero'"),
    ({"step": "foreground", "fill": float("nan")}, "fill is a finite number, not nan"),
    ({"step": "rescale", "low_percentile": -1}, "low_percentile is a finite number at least 0"),
    ({"step": "rescale", "high_percentile": 101}, "at most 100, not 101"),
    ({"step": "rescale", "low_percentile": 50, "high_percentile": 50}, "must exceed"),
    ({"step": "window", "low": 1, "high": 1}, "high .1. must exceed low .1."),
    ({"step": "window", "low": 1}, "parameter 'high' is missing"),
    ({"step": "divide", "by": 0}, "by is a finite number above 0"),
    ({"step": "threshold", "cut": None}, "cut is a finite number, not None"),
    ({"step": "z_score", "per_channel": "yes"}, "per_channel is true or false"),
    ({"step": "contrast"}, "parameter 'variant' is missing"),
    ({"step": "contrast", "variant": "gamma"}, "variant is one of 'stretch', 'equalize', 'clahe'"),
    ({"step": "contrast", "variant": "clahe", "clip_limit": 0}, "clip_limit is a finite number"),
    ({"step": "contrast", "variant": "equalize", "bins": 1}, "bins is a whole number from 2 on"),
    ({"step": "channels", "rule": "guess"}, "rule is one of 'replicate', 'select', 'mean'"),
    ({"step": "channels", "rule": "replicate"}, "needs count"),
    ({"step": "channels", "rule": "select"}, "needs indices"),
    ({"step": "channels", "rule": "select", "indices": [-1]}, "indices is a whole number from 0"),
    ({"step": "channels", "rule": "mean", "count": 1}, "takes no count"),
    ({"step": "channels", "rule": "as_is", "indices": [0]}, "takes no indices"),
    ({"step": "standardize", "mean": [1.0], "std": [1.0, 2.0]}, "mean has 1 numbers but std 2"),
    ({"step": "standardize", "mean": [1.0], "std": [0.0]}, "std is a finite number above 0"),
    ({"step": "standardize", "mean": "0", "std": [1]}, "mean is a list of numbers"),
    ({"size": 3}, 'a preparation step is an object such as .*"step": "resize"'),
    ({"step": 3}, "a preparation step is an object"),
    ("resize", "a preparation step is an object"),
]


@pytest.mark.parametrize(("step", "sentence"), REFUSED, ids=lambda item: str(item)[:50])
def test_a_bad_step_is_refused_by_name(step, sentence):
    with pytest.raises(PreparationError, match=f"(?i){sentence}") as caught:
        Preparation.from_json([{"step": "slices"}, step] if step != {"step": "slices"} else [step])
    assert "\n" not in str(caught.value)
