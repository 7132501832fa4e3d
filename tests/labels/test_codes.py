"""From our codes to others', and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_cam.errors import MaskError
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.codes import Remap, nnunet_codes, unchanged

pytestmark = pytest.mark.quick


def test_nnunet_gets_background_first_and_ignore_last() -> None:
    seeds = LabelClasses.of_seeds(["liver", "tumour"])
    remap = nnunet_codes(seeds, "ignore")
    assert remap.codes == {0: 3, 1: 0, 2: 1, 3: 2}
    assert remap.names == {0: "background", 1: "liver", 2: "tumour", 3: "ignore"}
    assert remap.to_json() == {"0": 3, "1": 0, "2": 1, "3": 2}
    np.testing.assert_array_equal(remap.apply(np.array([0, 1, 2, 3, 0])), [3, 0, 1, 2, 3])
    classes = remap.classes(seeds)
    assert [(each.code, each.name) for each in classes] == [
        (1, "liver"), (2, "tumour"), (3, "ignore"),
    ]  # fmt: skip
    assert [each.colour for each in classes] == ["#E69F00", "#56B4E9", "#999999"]

    finished = LabelClasses((LabelClass(1, "a", "#111111"), LabelClass(9, "b", "#222222")))
    assert nnunet_codes(finished, "background").codes == {0: 0, 1: 1, 9: 2}


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(MaskError, match="no class but background"):
        nnunet_codes(LabelClasses.of_seeds([]), "ignore")
    with pytest.raises(MaskError, match="'ignore', which nnU-Net keeps"):
        nnunet_codes(LabelClasses.of_seeds(["ignore"]), "ignore")


def test_what_became_one_cannot_be_told_apart() -> None:
    with pytest.raises(MaskError, match="Two labels became one"):
        Remap({0: 0, 1: 0}, {}).inverse()
    with pytest.raises(MaskError, match="label 5 has no new code"):
        Remap({0: 0, 1: 1}, {}).apply(np.array([0, 5]))


@given(
    labels=arrays(np.uint8, (3, 4, 5), elements=st.sampled_from([0, 1, 2, 3, 7, 255])),
    zero=st.sampled_from(["ignore", "background"]),
)
def test_there_and_back_is_the_same(labels, zero) -> None:
    codes = [2, 3, 7, 255]
    first = LabelClass(1, "background" if zero == "ignore" else "first", "#123456")
    named = [LabelClass(code, f"class {code}", "#123456") for code in codes]
    classes = LabelClasses((first, *named))
    for remap in (nnunet_codes(classes, zero), unchanged(classes, "seeds")):
        back = remap.inverse().apply(remap.apply(labels))
        np.testing.assert_array_equal(back, labels)
        assert back.dtype == np.uint8
    remapped = nnunet_codes(classes, zero).apply(labels)
    assert set(np.unique(remapped)) <= set(range(7))
