"""What a target reads, against hand-computed numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_cam.cams.targets.arguments import as_targets
from napari_cam.cams.targets.scores import ClassScore, class_logits
from napari_cam.errors import TargetError
from napari_cam.models.loaded import wrap_model
from tests.cams.networks import GapNet

pytestmark = pytest.mark.quick

OUTPUT = torch.tensor([[0.0, math.log(2), math.log(5)], [math.log(3), 0.0, 0.0]])


def test_scores_by_hand():
    # softmax rows: (1, 2, 5)/8 and (3, 1, 1)/5.
    assert ClassScore(1).read(OUTPUT).scores.tolist() == pytest.approx([math.log(2), 0.0])
    assert ClassScore(1, "probability").read(OUTPUT).scores.tolist() == pytest.approx([0.25, 0.2])
    odds = ClassScore(1, "log_odds").read(OUTPUT).scores.tolist()
    assert odds == pytest.approx([math.log(2 / 6), math.log(1 / 4)])


def test_predicted_class_by_image():
    read = ClassScore().read(OUTPUT)
    assert read.class_index.tolist() == [2, 0]
    assert read.scores.tolist() == pytest.approx([math.log(5), math.log(3)])


def test_single_output():
    z = torch.tensor([[0.7], [-1.2]])
    assert torch.equal(class_logits(z), torch.tensor([[-0.7, 0.7], [1.2, -1.2]]))
    sigmoid = [1 / (1 + math.exp(-0.7)), 1 / (1 + math.exp(1.2))]
    assert ClassScore(1, "probability").read(z).scores.tolist() == pytest.approx(sigmoid)
    assert ClassScore(0, "log_odds").read(z).scores.tolist() == pytest.approx([-0.7, 1.2])
    assert ClassScore().read(z).class_index.tolist() == [1, 0]


def test_names():
    model = wrap_model(GapNet(), class_names=["healthy", "damaged", "other"], in_channels=2)
    (target,) = as_targets("damaged", model)
    assert (target.class_id, target.label) == (1, "damaged")
    assert as_targets([None, 2, "predicted"], model)[1].label == "other"
    assert as_targets("predicted", model)[0].class_id is None
    assert as_targets(ClassScore("other", "probability"), model)[0].label == "other (probability)"


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("tumour", "no class 'tumour'; it has 3: healthy, damaged, other"),
        (3, "no class '3'"),
        (-1, "no class '-1'"),
        ([], "No target is given"),
        (True, "by name or index, not True"),
    ],
)
def test_classes_that_do_not_exist(wanted, sentence):
    model = wrap_model(GapNet(), class_names=["healthy", "damaged", "other"], in_channels=2)
    with pytest.raises(TargetError, match=sentence):
        as_targets(wanted, model)


def test_a_name_that_two_classes_bear():
    model = wrap_model(GapNet(), class_names=["crane", "cat", "crane"], in_channels=2)
    with pytest.raises(TargetError, match=r"2 classes called 'crane'; .* 0 or 2"):
        as_targets("crane", model)
    assert as_targets(2, model)[0].label == "crane"


def test_without_names():
    with pytest.raises(TargetError, match="classes have no names, so 'damaged' is unknown"):
        as_targets("damaged", None)
    with pytest.raises(TargetError, match="no class 3; its 3 classes are 0 to 2"):
        ClassScore(3).read(OUTPUT)
    with pytest.raises(TargetError, match="one of logit, probability, log_odds"):
        ClassScore(1, "softmax")
    with pytest.raises(TargetError, match="is it a classifier"):
        ClassScore(1).read(torch.zeros(2, 3, 4, 5))


@pytest.mark.parametrize(
    "wanted", [np.int64(2), torch.tensor(2), np.array([2]), torch.tensor([2]), (2,), range(2, 3)]
)
def test_indices_from_arrays(wanted):
    (target,) = as_targets(wanted, None)
    assert target == ClassScore(2)
    assert type(target.class_id) is int


@pytest.mark.parametrize("wanted", [1.0, [[1]], {"a": 1}, np.array([0.5]), b"x", np.bool_(True)])
def test_what_names_no_class(wanted):
    with pytest.raises(TargetError, match="by name or index, not"):
        as_targets(wanted, None)
