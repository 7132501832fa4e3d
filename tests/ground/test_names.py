"""Names of files, and what records and tables say as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cam.names import ResultNames, file_and_label, slug
from napari_cam.provenance import map_words
from napari_cam.text_tables import fact_lines, text_table


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("gradcam++", "gradcam++"),
        ("layer4.1#2[out]", "layer4.1-2-out"),
        ("features.1+features.2", "features.1+features.2"),
        ("Egyptian cat", "Egyptian-cat"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\x<>|?*", "C-x"),
        ("Größe", "Größe"),
        ("...", "x"),
        ("a" * 99, "a" * 60),
    ],
)
def test_slugs_are_safe_in_every_file_system(text: str, part: str) -> None:
    assert slug(text) == part


def test_names_that_would_be_the_same_are_told_apart() -> None:
    names = ResultNames()
    taken = [names.take(("heatmap", word), ".nii.gz") for word in ("a b", "a/b", "A-B", "c")]
    assert taken == [
        "heatmap_a-b.nii.gz",
        "heatmap_a-b-2.nii.gz",
        "heatmap_A-B-3.nii.gz",
        "heatmap_c.nii.gz",
    ]


def test_a_table_lines_its_columns_up() -> None:
    text = text_table(("name", "n"), [("a", 1), ("longer", 20)], right=(1,))
    assert text.splitlines() == ["name     n", "------  --", "a        1", "longer  20"]


def test_facts_have_their_names_in_front_and_their_lines_below_each_other() -> None:
    text = fact_lines({"task": "classes", "steps": "one\ntwo"}, width=6)
    assert text.splitlines() == ["task   classes", "steps  one", "       two"]


def test_a_file_with_a_label_is_told_from_a_file_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.nii.gz"
    assert file_and_label(f"{path}:2") == (path, 2)
    assert file_and_label(str(path)) == (path, None)
    assert file_and_label("component:3,4") == (Path("component:3,4"), None)
    own = tmp_path / "scan:7"
    own.touch()
    assert file_and_label(str(own)) == (own, None)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"method": {"name": "gradcam"}, "layer": "layer4", "target": "b"}, "gradcam layer4 b"),
        ({"method": "mean", "target": None}, "mean  "),
        ({}, "  "),
    ],
)
def test_a_record_says_method_layer_and_target(facts: dict[str, object], words: str) -> None:
    assert " ".join(map_words(facts)) == words
