"""The training loop: it learns, it repeats, it keeps the best, and it says what went wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import binomtest

from napari_cam.errors import ModelError, TrainingError
from napari_cam.learning.classifier import train
from napari_cam.learning.cohort.subjects import trained_on
from napari_cam.learning.data.augmentation import Augmentation
from napari_cam.learning.training.engine import Epoch
from napari_cam.models.architectures.building import build
from napari_cam.models.card import ModelCard
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Divide, Orient, Rescale, Resize, Slices
from napari_cam.volumes.volume import Volume

TINY = {"widths": (4, 6), "pools": (2, 1)}
FAST: dict[str, Any] = {"architecture_options": TINY, "batch_size": 16, "learning_rate": 0.02}


def stripes(n: int, seed: int, shape: tuple[int, ...] = (12, 20)) -> tuple[Any, Any]:
    """Return noise (n, 1, *shape) of two classes: even, and striped along the last axis."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = rng.normal(500, 60, (n, 1, *shape))
    images[labels == 1] += 150 * (-1.0) ** np.arange(shape[-1])
    return images.clip(0).astype(np.uint16), labels


def scores(model: LoadedModel, images: Any) -> Any:
    with torch.no_grad():
        ready = model.card.preparation.apply_units(images)
        return model.module(torch.from_numpy(ready)).double().numpy()


@pytest.mark.parametrize("shape", [(12, 20), (5, 8, 12)])
def test_it_learns_in_2d_and_3d(shape: tuple[int, ...]) -> None:
    model = train(*stripes(64, 0, shape), epochs=8, **FAST)
    images, labels = stripes(80, 1, shape)
    assert (scores(model, images).argmax(axis=1) == labels).mean() > 0.95
    assert model.card.spatial_ndim == len(shape)
    assert model.card.class_names == ("0", "1")
    assert not model.module.training


def test_the_seed_decides_and_the_global_state_stays() -> None:
    images, labels = stripes(20, 0)
    augmentation = Augmentation(flips=(-1,), shift=0.1, jitter=0.1)
    torch.manual_seed(11)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (
        train(images, labels, epochs=2, seed=5, augmentation=augmentation, **FAST) for _ in range(2)
    )
    other = train(images, labels, epochs=2, seed=6, augmentation=augmentation, **FAST)
    with pytest.raises(ZeroDivisionError):
        train(images, labels, epochs=2, progress=lambda _: 1 / 0, **FAST)
    assert first.sha256 == again.sha256 != other.sha256
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_first_loss_is_the_weighted_cross_entropy_of_the_first_network() -> None:
    images, labels = stripes(12, 0)
    labels = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    seen: list[Epoch] = []
    train(
        *(images, labels),
        architecture_options=TINY,
        epochs=1,
        seed=7,
        class_weights="balanced",
        progress=seen.append,
    )
    torch.manual_seed(7)
    module = build("gap-cnn", 2, 1, 2, **TINY)
    scaled = images.astype(float)
    low, high = scaled.min(axis=(2, 3), keepdims=True), scaled.max(axis=(2, 3), keepdims=True)
    with torch.no_grad():
        logits = module(torch.from_numpy((scaled - low) / (high - low)).float()).numpy()
    loss = -log_softmax(logits.astype(float), axis=1)[np.arange(12), labels]
    weight = np.where(labels == 0, 12 / (2 * 8), 12 / (2 * 4))
    assert seen[0].training_loss == pytest.approx((loss * weight).sum() / weight.sum(), rel=1e-5)


def test_the_weights_of_the_smallest_validation_loss_are_kept() -> None:
    """With wrong labels to validate on, learning makes it worse: it stops and goes back."""
    images, labels = stripes(40, 0)
    others, wrong = stripes(24, 1)
    seen: list[Epoch] = []
    model = train(
        *(images, labels),
        validation=(others, 1 - wrong),
        **{"epochs": 30, "patience": 3, "progress": seen.append, **FAST},
    )
    losses = [epoch.validation_loss for epoch in seen]
    best = int(np.argmin(losses))
    assert len(seen) == best + 1 + 3 < 30
    loss = -log_softmax(scores(model, others), axis=1)[np.arange(24), 1 - wrong].mean()
    assert loss == pytest.approx(losses[best], rel=1e-5)
    assert model.card.training["epochs"] == {"run": len(seen), "at_most": 30, "kept": best + 1}


def test_raw_images_go_through_the_same_steps_as_a_volume_in_explanation() -> None:
    images, labels = stripes(10, 0)
    steps = (Orient(), Slices(), Divide(700), Rescale(1, 99), Resize((10, 14)))
    preparation = Preparation(steps)
    volume = Volume.from_array(images[:, 0])
    bound = preparation.bind(volume).batch(range(10))
    raw = train(images, labels, preparation=preparation, epochs=1, **FAST)
    ready = train(bound, labels, preparation=preparation, prepared=True, epochs=1, **FAST)
    assert raw.sha256 == ready.sha256
    assert raw.card.preparation == preparation


def test_the_card_says_how_it_was_trained() -> None:
    images, labels = stripes(30, 0)
    names = np.array(["healthy", "damaged"])
    patients = [f"Doe^{index // 5}" for index in range(30)]
    model = train(
        *(torch.from_numpy(images.astype(np.float32)), names[labels]),
        class_names=("healthy", "damaged"),
        validation=stripes(14, 3),
        **{"epochs": 6, "seed": 4, "subjects": patients, **FAST},
    )
    text = json.dumps(model.card.to_json())
    assert ModelCard.from_json(json.loads(text)) == model.card
    notes = model.card.training
    hits = int((scores(model, stripes(14, 3)[0]).argmax(axis=1) == stripes(14, 3)[1]).sum())
    interval = binomtest(hits, 14).proportion_ci(method="wilson")
    assert notes["metrics"]["validation_accuracy"]["interval"] == pytest.approx(
        tuple(interval), abs=1e-6
    )
    assert notes["seed"] == 4
    assert notes["images_per_class"] == {"training": [15, 15], "validation": [7, 7]}
    assert notes["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert len(notes["subjects"]["sha256"]) == 6
    assert "Doe" not in text
    assert trained_on(notes, "Doe^2")
    assert trained_on(notes, "Doe^6") is False
    assert trained_on({}, "Doe^2") is None


def test_the_split_hash_names_the_split_and_not_its_order() -> None:
    images, labels = stripes(12, 0)
    others = stripes(6, 1)

    def split(order: Any, validation: Any) -> str:
        model = train(images[order], labels[order], validation=validation, epochs=1, **FAST)
        return model.card.training["split_sha256"]

    forth = split(np.arange(12), others)
    assert forth == split(np.arange(12)[::-1], others)
    assert forth != split(np.arange(12), None)
    assert forth != split(np.arange(11), others)


IMAGES, LABELS = stripes(8, 0)
NOT_FINITE = IMAGES.astype(float)
NOT_FINITE[2, 0, 3, 4] = np.nan


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels": np.zeros(8, int)}, "one class"),
        ({"labels": np.zeros(8, int), "class_names": ("a", "b")}, "one class"),
        ({"class_names": ("a", "b", "c")}, "shows the class 'c'"),
        ({"class_names": ("a", "a")}, "distinct"),
        ({"labels": LABELS[:-1]}, "8 training images but 7 labels"),
        ({"labels": LABELS + 0.5}, "one class number"),
        ({"labels": LABELS - 1}, "counted from 0"),
        ({"labels": LABELS + 1, "class_names": ("a", "b")}, "counted from 0 to 1"),
        ({"labels": ["a", "x"] * 4, "class_names": ("a", "b")}, "'x'"),
        ({"labels": ["a", "x"] * 4}, "class_names"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "empty"),
        ({"images": IMAGES[:, 0]}, "n, c, h, w"),
        ({"images": [IMAGES[0], IMAGES[1, :, :5]] * 4}, "differ in shape"),
        ({"validation": (IMAGES[:3], LABELS[:2])}, "3 validation images but 2 labels"),
        ({"validation": (IMAGES[:3, :, None], LABELS[:3])}, "spatial axes"),
        ({"subjects": ["a"]}, "1 subjects"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate is a number above 0"),
        ({"class_weights": (1.0,)}, "one positive number"),
        ({"class_weights": "equal"}, "balanced"),
        ({"learning_rate": 1e30}, "not a finite number"),
        ({"preparation": Preparation((Rescale(),))}, "spatial axes"),
        ({"preparation": Preparation((Rescale(), Slices()))}, "prepared=True"),
        ({"images": NOT_FINITE, "prepared": True}, "NaN"),
        ({"images": IMAGES[..., :1, :1]}, "cannot take images of shape"),
        ({"architecture": "alexnet", "architecture_options": {}}, "cannot take images of shape"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        train(**{"images": IMAGES, "labels": LABELS, "epochs": 3, **FAST, **arguments})


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(ModelError, match="gap-cnm"):
        train(IMAGES, LABELS, architecture="gap-cnm")
