from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest

from napari_cam.errors import WriteError
from napari_cam.files import check_writable, sidecar_path, suffixes, write_sidecar, writing

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("name", "extension", "sidecar"),
    [
        ("map.nii.gz", ".nii.gz", "map.json"),
        ("map.NII.GZ", ".nii.gz", "map.json"),
        ("sub-1.2_map.ome.tif", ".ome.tif", "sub-1.2_map.json"),
        ("sub-1.2_map.tiff", ".tiff", "sub-1.2_map.json"),
        ("map", "", "map.json"),
    ],
)
def test_extension_and_sidecar_of_a_name(name: str, extension: str, sidecar: str) -> None:
    assert suffixes(Path(name)) == extension
    assert sidecar_path(Path("there") / name) == Path("there") / sidecar


def test_the_file_appears_whole_and_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "map.nii.gz"
    with writing(target) as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["map.nii.gz"]


def test_a_new_file_has_ordinary_rights(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with writing(tmp_path / "map.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "map.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt])
def test_an_error_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, raised: type[BaseException]
) -> None:
    target = tmp_path / "map.txt"
    target.write_text("old")

    def fail_half_way() -> None:
        with writing(target, overwrite=True) as temporary:
            temporary.write_text("half of the n")
            raise raised

    with pytest.raises(raised):
        fail_half_way()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["map.txt"]


def test_a_full_disk_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No space left on device"), writing(tmp_path / "map.txt"):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_existing_files_are_refused_unless_asked(tmp_path: Path) -> None:
    target = tmp_path / "map.txt"
    target.write_text("old")
    with pytest.raises(WriteError, match="exists already"), writing(target):
        pytest.fail("the block must not run")
    with writing(target, overwrite=True) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_impossible_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="is a folder"):
        check_writable(tmp_path, overwrite=True)
    with pytest.raises(WriteError, match="does not exist"):
        check_writable(tmp_path / "none" / "map.txt", overwrite=False)


def test_a_read_only_folder_is_a_named_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, whom no permission stops, so the refusal itself is played.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(WriteError, match="choose another folder"), writing(tmp_path / "a.txt"):
        pytest.fail("the block must not run")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_a_named_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(WriteError, match="Permission denied"), writing(tmp_path / "a.txt"):
        pytest.fail("the block must not run")


def test_sidecar_is_plain_json(tmp_path: Path) -> None:
    written = write_sidecar(tmp_path / "map.nii.gz", {"cut": float("nan"), "shape": (2, 3)})
    assert written == tmp_path / "map.json"
    assert json.loads(written.read_text()) == {"cut": None, "shape": [2, 3]}


@pytest.mark.parametrize("name", ["x" * 300, "zero\0byte"])
def test_a_name_that_no_file_can_have_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(WriteError, match="cannot name a file"), writing(tmp_path / name):
        pass
