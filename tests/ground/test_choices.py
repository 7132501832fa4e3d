"""Words to choose from: what is taken, what is refused and how, what lists show."""

from __future__ import annotations

from typing import Literal

import pytest

from napari_cam.choices import Choices
from napari_cam.errors import MaskError

pytestmark = pytest.mark.quick

Meal = Literal["soup", "bread", "cake"]
MEAL: Choices[Meal] = Choices(
    "The meal", Meal, MaskError, {"soup": "hot", "bread": "plain", "cake": "sweet"}
)


def test_a_known_word_is_taken() -> None:
    assert MEAL.checked("bread") == "bread"
    assert type(MEAL.checked(type("Word", (str,), {})("cake"))) is str


@pytest.mark.parametrize("word", ["Soup", "", None, 1, ["soup"], b"soup"])
def test_another_word_is_refused_by_one_sentence(word: object) -> None:
    with pytest.raises(MaskError) as caught:
        MEAL.checked(word)
    assert str(caught.value) == f"The meal is one of soup, bread, cake, not {word!r}."


def test_the_subject_of_the_sentence_may_be_another() -> None:
    with pytest.raises(MaskError, match=r"^Supper is one of soup, bread, cake, not 'tea'\.$"):
        MEAL.checked("tea", "Supper")


def test_lists_and_help_texts() -> None:
    assert MEAL.entries == [("hot", "soup"), ("plain", "bread"), ("sweet", "cake")]
    assert MEAL.words == "soup, bread or cake"
    assert MEAL["cake"] == "sweet"


def test_texts_are_those_of_the_literal() -> None:
    texts: dict[Meal, str] = {"soup": "hot", "cake": "sweet"}
    with pytest.raises(TypeError, match="The meal"):
        Choices("The meal", Meal, MaskError, texts)
