"""Weights in files, whoever wrote them.

Pickle files can run any code when they are read. Here they are read with PyTorch's restricted
unpickler alone (``weights_only=True``), which knows tensors and plain containers and nothing else.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from napari_cam.errors import ModelError, NapariCamError
from napari_cam.models.card import ModelCard

CARD_KEY = "napari_cam"
SUFFIXES = (".safetensors", ".pt2", ".pt", ".pth", ".th", ".ckpt", ".bin")

Weights = dict[str, Tensor]

# Under which names training programs keep the weights of the network, in order of preference.
_HOLDERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "network_weights", "net"),
    *("network", "weights", "params", "module", "generator"),
)
_WAY_OUT = (
    "in the program that wrote it, save the weights alone with "
    "torch.save(model.state_dict(), ...) or napari_cam.save_model"
)


def check_model_file(path: Path) -> None:
    """Refuse what is no model file.

    Raises
    ------
    ModelError
        Where there is none, or one that is empty, or of another kind.
    """
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder; give the model file inside it.")
        if not path.is_file():
            raise ModelError(f"There is no model file {path}; check the path.")
        if path.suffix.lower() not in SUFFIXES:
            raise ModelError(
                f"{path} is no model file that can be read; there are {' '.join(SUFFIXES)}, and "
                "other frameworks' networks must be converted to PyTorch first."
            )
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    if not first:
        raise ModelError(f"{path} is empty; download or save it again.")


def read_weights(path: Path) -> tuple[Weights, ModelCard | None]:
    """Return the weights in a file, and their card where it is one of ours.

    Raises
    ------
    ModelError
        Where the file is damaged, or holds more than weights and a card.
    """
    if path.suffix.lower() == ".pt2":
        raise ModelError(
            f"{path} is not a whole file of torch.export.save; export or download it again."
        )
    if path.suffix.lower() != ".safetensors":
        return read_checkpoint(path), None
    weights, metadata = read_safetensors(path)
    if CARD_KEY not in metadata:
        return weights, None
    try:
        return weights, ModelCard.from_json(json.loads(metadata[CARD_KEY]))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"The model card in {path} is no JSON ({error}); save it again."
        ) from error
    except NapariCamError as error:
        raise ModelError(f"{path} cannot be used: {error}") from error


def read_safetensors(path: Path) -> tuple[Weights, Mapping[str, str]]:
    """Return the tensors of a ``.safetensors`` file and its metadata.

    Raises
    ------
    ModelError
        Where the file is damaged or of another format.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return weights, file.metadata() or {}
    except (SafetensorError, OSError, RuntimeError, ValueError, UnicodeError) as error:
        raise ModelError(
            f"{path} is not a whole .safetensors file ({_first_line(error)}); "
            "download or save it again."
        ) from error


def read_checkpoint(path: Path) -> Weights:
    """Return the weights in a file that ``torch.save`` wrote, however deep they are nested.

    Raises
    ------
    ModelError
        Where the file is damaged, holds Python objects, or no weights.
    """
    _refuse_torchscript(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickle protocols; what matters is said below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unpickling_error(path, error) from error
    except (
        *(RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, TypeError),
        *(AttributeError, AssertionError, ImportError, OverflowError, MemoryError),
    ) as error:
        raise ModelError(
            f"{path} is damaged or no PyTorch checkpoint ({_first_line(error)}); "
            "download or save it again."
        ) from error
    weights = _find_weights(content)
    if weights is None:
        found = f"a {type(content).__name__}"
        if isinstance(content, Mapping):
            found += f" with {', '.join(map(str, list(content)[:6])) or 'nothing in it'}"
        raise ModelError(f"{path} holds {found} but no weights; {_WAY_OUT}.")
    return weights


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ")[:160] if lines else type(error).__name__


def _refuse_torchscript(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.split("/", 1)[-1].startswith("code/") for name in names):
        raise ModelError(
            f"{path} is a TorchScript archive, whose inner layers cannot be met; load its weights "
            "into the Python module it was made from, or export that with torch.export to .pt2."
        )


def _unpickling_error(path: Path, error: pickle.UnpicklingError) -> ModelError:
    text = str(error)
    named = re.search(r"GLOBAL (\w+(?:\.\w+)+)", text)
    if named or "Unsupported class" in text or "Trying to" in text:
        what = f" ({named[1]})" if named else ""
        return ModelError(
            f"{path} holds pickled Python objects{what}, which may run any code when read; "
            f"{_WAY_OUT}."
        )
    return ModelError(f"{path} is damaged or no PyTorch checkpoint; download or save it again.")


def _find_weights(content: Any) -> Weights | None:
    if not isinstance(content, Mapping):
        return None
    tensors = {str(key): item for key, item in content.items() if isinstance(item, Tensor)}
    mappings = {str(key): item for key, item in content.items() if isinstance(item, Mapping)}
    holders = [name for name in _HOLDERS if name in mappings]
    if tensors and not holders:
        return tensors
    others = [name for name in mappings if name not in holders and "optim" not in name]
    for name in (*holders, *others):
        weights = _find_weights(mappings[name])
        if weights:
            return weights
    return tensors or None
