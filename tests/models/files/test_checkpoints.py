"""Reading weights: every way of nesting them, every kind of damage, and nothing that runs."""

from __future__ import annotations

import argparse
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_cam.errors import ModelError
from napari_cam.models.files.checkpoints import read_checkpoint, read_safetensors


class Malicious:
    """Pickles into a call that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def _state() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([0.5, -2.0])}


@pytest.mark.parametrize(
    "nest",
    [
        lambda state: state,
        lambda state: OrderedDict(state),
        lambda state: {"state_dict": state, "best_prec1": 91.7},
        lambda state: {
            "epoch": 3,
            "model_state_dict": state,
            "optimizer_state_dict": {"state": {}},
        },
        lambda state: {"model": {"state_dict": state}, "optimizer": {"momentum": torch.zeros(2)}},
        lambda state: {"net": state, "step": torch.tensor(4)},
        lambda state: {"my_own_word": state, "note": "trained on Tuesday"},
        lambda state: {"optim_state": {"x": torch.ones(1)}, "weights": state},
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_weights_are_found_however_they_are_nested(
    tmp_path: Path, nest: object, legacy: bool
) -> None:
    path = tmp_path / "net.pth"
    torch.save(nest(_state()), path, _use_new_zipfile_serialization=not legacy)  # type: ignore[operator]
    weights = read_checkpoint(path)
    assert weights.keys() == _state().keys()
    for name, tensor in _state().items():
        assert torch.equal(weights[name], tensor)


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_saved_on_a_gpu_come_to_the_cpu(
    tmp_path: Path, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.pth"
    with monkeypatch.context() as patched:
        patched.setattr("torch.serialization.location_tag", lambda _: "cuda:3")
        torch.save(_state(), path, _use_new_zipfile_serialization=not legacy)
    assert b"cuda:3" in path.read_bytes()
    weights = read_checkpoint(path)
    assert torch.equal(weights["a.weight"], _state()["a.weight"])
    assert weights["a.weight"].device.type == "cpu"


def test_a_crafted_file_runs_nothing(tmp_path: Path) -> None:
    for number, content in enumerate(
        (
            lambda mark: Malicious(mark),
            lambda mark: {"state_dict": _state(), "note": Malicious(mark)},
        )
    ):
        for legacy in (False, True):
            mark = tmp_path / f"mark{number}{legacy}"
            path = tmp_path / "net.pth"
            torch.save(content(mark), path, _use_new_zipfile_serialization=not legacy)
            with pytest.raises(ModelError, match=r"pickled Python objects .*state_dict"):
                read_checkpoint(path)
            assert not mark.exists()
    mark = tmp_path / "mark"
    path.write_bytes(pickle.dumps(Malicious(mark)))
    with pytest.raises(ModelError):
        read_checkpoint(path)
    assert not mark.exists()


def test_a_pickled_module_is_refused_by_name_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(nn.Sequential(nn.Linear(2, 3)), path)
    with pytest.raises(ModelError, match=r"torch\.nn\.modules\.container\.Sequential.*state_dict"):
        read_checkpoint(path)
    torch.save({"state_dict": _state(), "args": argparse.Namespace(lr=1)}, path)
    with pytest.raises(ModelError, match=r"argparse\.Namespace"):
        read_checkpoint(path)


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    # What torch.jit.save writes has this shape; making one would warn that it is deprecated.
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/code/__torch__.py", "")
        archive.writestr("net/data.pkl", pickle.dumps(None))
    with pytest.raises(ModelError, match="TorchScript"):
        read_checkpoint(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_files_are_refused_wherever_they_end(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "net.pth"
    torch.save(_state(), path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    # A legacy file's last bytes are the numbers: each of them is needed too.
    for end in {1, 2, 9, 60, len(whole) // 3, len(whole) // 2, len(whole) - 30, len(whole) - 1}:
        path.write_bytes(whole[:end])
        with pytest.raises(ModelError, match=r"damaged or no PyTorch checkpoint"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><html>Not found</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        b"\x00" * 64,
        bytes(range(256)) * 8,
        b"PK\x03\x04 and then nothing of a zip",
    ],
)
def test_other_files_under_a_checkpoints_name_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged or no PyTorch checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"epoch": 3, "lr": 0.1}, "epoch, lr"),
        ({}, "nothing"),
        ([1, 2], "list"),
        (torch.zeros(3), "Tensor"),
        ({"optimizer": {"momentum": torch.zeros(2)}}, "optimizer"),
    ],
)
def test_checkpoints_without_weights_say_what_they_hold(
    tmp_path: Path, content: object, word: str
) -> None:
    path = tmp_path / "net.pth"
    torch.save(content, path)
    with pytest.raises(ModelError, match=f"{word}.*no weights"):
        read_checkpoint(path)


def test_safetensors_are_read_with_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(_state(), path, metadata={"note": "x"})
    weights, metadata = read_safetensors(path)
    assert metadata == {"note": "x"}
    assert torch.equal(weights["a.weight"], _state()["a.weight"])


def test_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(_state(), path)
    whole = path.read_bytes()
    huge = (2**60).to_bytes(8, "little") + whole[8:]
    broken = whole[:10] + b"\xff\xfe" + whole[12:]
    for content in (whole[:5], whole[:40], whole[:-1], huge, broken, b"", whole + b"1"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a whole"):
            read_safetensors(path)
