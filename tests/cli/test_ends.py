"""How commands end: exit codes, sentences, logs."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from napari_cam.cli.failures import redacted
from napari_cam.cli.main import main
from napari_cam.volumes import (
    heatmap_files,  # noqa: F401 - imported first, it would keep what a test puts into `reading`
    reading,
)
from tests.cli.conftest import NAME, Call


def raising(error: BaseException) -> Any:
    def read_volume(*_args: Any, **_kwargs: Any) -> None:
        raise error

    return read_volume


def test_done_is_0(call: Call, image: Path) -> None:
    ended = call("info", image)
    assert ended.code == 0
    assert ended.err == ""


def test_version(call: Call) -> None:
    ended = call("--version")
    assert ended.code == 0
    assert re.fullmatch(r"napari-cam \d+\.\d+\.\d+\S*\n", ended.out)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command(call: Call, flag: str) -> None:
    ended = call(flag)
    assert ended.code == 0
    for name in (
        *("demo", "explain", "mask", "ensemble", "calibrate", "seeds", "export"),
        *("report", "info", "layers", "methods", "architectures"),
    ):
        assert f"\n  {name} " in ended.out
    assert "..." not in ended.out.partition("Commands:")[2]


def test_help_names_every_report(call: Call) -> None:
    ended = call("report", "--help")
    assert ended.code == 0
    for name in ("overlap", "agreement", "association", "faithfulness"):
        assert f"\n  {name} " in ended.out
    assert "..." not in ended.out.partition("Commands:")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["explain"],
        ["explain", "x.nii", "--model", "m.pt"],
        ["explain", "x.nii", "--model", "m.pt", "--out", "o", "--colour", "red"],
        ["explain", "x.nii", "--model", "m.pt", "--out", "o", "--format", "pdf"],
        ["explain", "x.nii", "--model", "m.pt", "--out", "o", "--time", "soon"],
        ["mask", "--out", "o"],
        ["methods", "more"],
    ],
)
def test_wrong_usage_is_2(call: Call, arguments: list[str]) -> None:
    ended = call(*arguments)
    assert ended.code == 2
    assert "Usage: napari-cam" in ended.err
    assert "Traceback" not in ended.err


def test_a_named_error_is_1_and_one_sentence(call: Call, tmp_path: Path) -> None:
    ended = call("info", tmp_path / "nothing.nii")
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err == (
        f"error: {tmp_path / 'nothing.nii'} does not exist; check the name and the folder.\n"
    )


@pytest.mark.parametrize("before", [True, False])
def test_debug_shows_the_traceback_wherever_it_is_written(
    call: Call, tmp_path: Path, before: bool
) -> None:
    arguments = ["info", tmp_path / "nothing.nii"]
    ended = call(*(["--debug", *arguments] if before else [*arguments, "--debug"]))
    assert ended.code == 1
    assert "Traceback (most recent call last)" in ended.err
    assert "FileNotFoundError" in ended.err
    assert "Traceback" not in call(*arguments).err  # and the next command is quiet again


def test_some_failed_is_3_and_lists_them(call: Call, image: Path, tmp_path: Path) -> None:
    ended = call("info", image, tmp_path / "nothing.nii", image)
    assert ended.code == 3
    assert ended.out.count("9 x 48 x 60") == 2
    assert ended.err.count("error: ") == 1
    assert "nothing.nii does not exist" in ended.err
    assert call("info", tmp_path / "a.nii", tmp_path / "b.nii").code == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "The disk is full at /x/y"),
        (OSError(errno.EIO, "Input/output error"), r"\(Input/output error\)"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), r"at /x \(Permission denied\)"),
        (TimeoutError(), r"\(TimeoutError\)"),
        (MemoryError(), "memory does not suffice"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory does not suffice"),
    ],
)
def test_what_the_computer_lacks_is_a_named_error(
    call: Call, image: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    monkeypatch.setattr(reading, "read_volume", raising(error))
    ended = call("info", image)
    assert ended.code == 1
    assert re.search(words, ended.err)
    assert ended.err.count("\n") == 1
    assert ended.err.endswith(".\n")


def test_interrupted_is_130(
    call: Call, image: Path, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "read_volume", raising(KeyboardInterrupt()))
    ended = call("explain", image, "--model", model, "--out", out)
    assert ended.code == 130
    assert ended.err.startswith("error: Interrupted")
    assert ended.err.count("\n") == 1
    assert not out.exists()


def test_our_own_bug_is_70_and_its_log_names_nobody(
    call: Call, study: Path, image: Path, out: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    bug = ZeroDivisionError(f"{image} and {NAME}: oops in slice 9")
    monkeypatch.setattr(reading, "read_volume", raising(bug))
    ended = call("explain", image, "--model", study / "tiny.safetensors", "--out", out)
    assert ended.code == 70
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == 1
    found = re.search(r"the log (\S+\.log),", ended.err)
    assert found is not None
    text = Path(found[1]).read_text()
    assert "Traceback (most recent call last)" in text
    assert "oops in slice 9" in text  # what helps us stays
    assert "ZeroDivisionError" in text
    assert "opening.py" in text
    assert NAME not in text
    assert not out.exists()


def test_a_log_that_cannot_be_written_is_shown(
    call: Call, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "read_volume", raising(ZeroDivisionError(f"{image} oops")))
    monkeypatch.setattr("tempfile.mkstemp", raising(OSError(errno.ENOSPC, "full")))
    ended = call("info", image)
    assert ended.code == 70
    assert "Traceback" in ended.err
    assert "the traceback above" in ended.err
    assert NAME not in ended.err


@pytest.mark.parametrize(
    ("text", "values", "kept"),
    [
        ("open('/data/doe_jane/scan.nii.gz')", ["/data/doe_jane/scan.nii.gz"], "open('"),
        ("doe_jane.nii is damaged", ["/data/doe_jane.nii"], " is damaged"),
        ("the stem doe_jane too", ["in/doe_jane.nii.gz"], "the stem "),
        ("and its folder: doe_jane", ["doe_jane/a.nii"], "and its folder: "),
        ("line 12 in module", ["12", "in"], "module"),
        ("inline minus 120", ["in", "12"], "inline minus 120"),
    ],
)
def test_redaction(text: str, values: list[str], kept: str) -> None:
    result = redacted(text, values)
    assert kept in result
    assert "doe" not in result


def test_libraries_do_not_talk_into_the_terminal(
    call: Call, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reading.read_volume

    def noisy(*args: Any, **kwargs: Any) -> Any:
        warnings.warn("Deprecated thing", DeprecationWarning, stacklevel=1)
        logging.getLogger("tifffile").error("a tag is odd")
        return real(*args, **kwargs)

    monkeypatch.setattr(reading, "read_volume", noisy)
    ended = call("info", image)
    assert ended.code == 0
    assert ended.err == ""
    assert logging.root.manager.disable == 0


def test_a_closed_pipe_is_nothing_to_report() -> None:
    code = "from napari_cam.cli.main import main; import sys; sys.exit(main(['methods']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_is_read_where_nothing_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["napari-cam", "--version"])
    assert main() == 0
    assert "napari-cam" in capsys.readouterr().out
