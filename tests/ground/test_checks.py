"""Arguments: what passes, as what, and the sentence that refuses the rest."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from napari_cam import checks
from napari_cam.errors import MaskError, TrainingError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("given", "limits", "expected"),
    [
        (0.5, {"least": 0, "most": 1}, 0.5),
        (0, {"least": 0, "most": 1}, 0.0),
        (np.float32(1), {"least": 0, "most": 1}, 1.0),
        (np.int16(-3), {}, -3.0),
        (Fraction(1, 4), {"above": 0, "below": 1}, 0.25),
    ],
)
def test_numbers_pass_as_floats(given: Any, limits: dict[str, Any], expected: float) -> None:
    found = checks.number(given, "The share", MaskError, **limits)
    assert found == expected
    assert type(found) is float


@pytest.mark.parametrize(
    ("given", "limits", "sentence"),
    [
        (2, {"least": 0, "most": 1}, "The share is a number from 0 to 1, not 2."),
        (-0.5, {"least": 0}, "The share is a number from 0 on, not -0.5."),
        (0, {"above": 0}, "The share is a number above 0, not 0."),
        (1.5, {"above": 0, "most": 1}, "The share is a number above 0 and up to 1, not 1.5."),
        (1, {"least": 0, "below": 1}, "The share is a number from 0 to below 1, not 1."),
        (1.0, {"above": 0, "below": 1}, "The share is a number between 0 and 1, not 1.0."),
        (101, {"most": 100}, "The share is a number up to 100, not 101."),
        (7, {"below": 7}, "The share is a number below 7, not 7."),
        (float("nan"), {}, "The share is a number, not nan."),
        (float("inf"), {"least": 0}, "The share is a number from 0 on, not inf."),
        (True, {}, "The share is a number, not True."),
        ("1", {}, "The share is a number, not '1'."),
        (None, {}, "The share is a number, not None."),
        (1j, {}, "The share is a number, not 1j."),
        ([0.5], {"wanted": "one share"}, "The share is one share, not [0.5]."),
    ],
)
def test_other_numbers_are_refused(given: Any, limits: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MaskError) as caught:
        checks.number(given, "The share", MaskError, **limits)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("given", [3, np.uint8(3), np.array(3)])
def test_whole_numbers_pass_as_integers(given: Any) -> None:
    found = checks.whole(given, "epochs", TrainingError, least=1, most=3)
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize(
    ("given", "limits", "sentence"),
    [
        (0, {"least": 1}, "epochs is a whole number from 1 on, not 0."),
        (4, {"least": 1, "most": 3}, "epochs is a whole number from 1 to 3, not 4."),
        (2.0, {}, "epochs is a whole number, not 2.0."),
        (False, {}, "epochs is a whole number, not False."),
        ("2", {"wanted": "'all' or a whole number"}, "epochs is 'all' or a whole number, not '2'."),
    ],
)
def test_other_whole_numbers_are_refused(given: Any, limits: Any, sentence: str) -> None:
    with pytest.raises(TrainingError) as caught:
        checks.whole(given, "epochs", TrainingError, **limits)
    assert str(caught.value) == sentence


def test_flags() -> None:
    assert checks.flag(False, "strict", MaskError) is False
    with pytest.raises(MaskError, match=r"^strict is true or false, not 1\.$"):
        checks.flag(1, "strict", MaskError)


def test_masks() -> None:
    given = np.zeros((2, 3), bool)
    assert checks.mask(given, "The foreground", MaskError, (2, 3)) is given
    with pytest.raises(MaskError, match="is a boolean array, not float64; say what counts"):
        checks.mask(np.ones((2, 3)), "The foreground", MaskError)
    with pytest.raises(MaskError, match="is a boolean array, not list"):
        checks.mask([[True]], "The foreground", MaskError)
    with pytest.raises(MaskError, match=r"^The foreground has shape \(2, 3\), not \(3, 2\); give"):
        checks.mask(given, "The foreground", MaskError, (3, 2))
