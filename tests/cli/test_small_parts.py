"""Slices and folders as the commands use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cam.cli.commands.show import MODEL_SUFFIXES
from napari_cam.cli.folders import check_results, output_folder
from napari_cam.cli.parsing import parse_slices
from napari_cam.errors import PreparationError, WriteError
from napari_cam.models.files.checkpoints import SUFFIXES


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        ("4", (4,)),
        ("3:7", (3, 4, 5, 6)),
        (":2", (0, 1)),
        ("8:", (8, 9, 10)),
        ("9,0, 3:5 ,4", (9, 0, 3, 4)),
    ],
)
def test_slices_are_spelt_as_in_python(text: str, slices: tuple[int, ...]) -> None:
    assert parse_slices(text, 11) == slices


@pytest.mark.parametrize(
    "text",
    ["", ":", "3-5", "3:5:2", "-1", "1.5", "a", "3,,4", "5:3", "4:4", "11", "9:12", "11:", "٣"],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(PreparationError):
        parse_slices(text, 11)


def test_info_knows_model_files_by_the_names_that_load_model_takes() -> None:
    assert MODEL_SUFFIXES == SUFFIXES


def fail_in(folder: Path, result: str | None = None) -> None:
    with output_folder(folder):
        assert folder.is_dir()
        if result is not None:
            (folder / result).write_text("x")
        raise ZeroDivisionError


def test_a_folder_made_for_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_in(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_or_holds_something_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ZeroDivisionError):
        fail_in(tmp_path / "a" / "b", "result")
    assert (tmp_path / "a" / "b" / "result").exists()
    with pytest.raises(ZeroDivisionError):
        fail_in(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


@pytest.mark.parametrize("name", ["file", "file/below", "n" * 300, "null\0byte"])
def test_what_can_be_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError), output_folder(tmp_path / name):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_sidecar_alone_stands_in_the_way_too(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("{}")
    with pytest.raises(WriteError, match=r"map\.json exists already; .* --overwrite"):
        check_results([tmp_path / "map.nii.gz"], overwrite=False)
    check_results([tmp_path / "map.nii.gz"], overwrite=True)
