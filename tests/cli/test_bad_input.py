"""Bad input of every kind: exit code 1, one sentence, nothing half-written."""

from __future__ import annotations

import gzip
import json
import pickle
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import napari_cam as nc
from napari_cam.models.files.model_files import save_model
from tests.cli.conftest import NAME, Call, tiny_model

Case = Callable[[Path], list[Any]]
CASES: dict[str, tuple[Case, str]] = {}


def case(words: str) -> Callable[[Case], Case]:
    """Register a kind of bad input; its error must hold `words`."""

    def register(make: Case) -> Case:
        CASES[make.__name__] = (make, words)
        return make

    return register


def explain(study: Path, *more: Any, image: Any = None, model: Any = None) -> list[Any]:
    """Return a command that would be right but for what is given."""
    return [
        *("explain", image or study / f"{NAME}.nii.gz"),
        *("--model", model or study / "tiny.safetensors", "--out", study / "out", *more),
    ]


def write(study: Path, name: str, content: bytes) -> Path:
    path = study / name
    path.write_bytes(content)
    return path


def array(study: Path, values: Any) -> Path:
    np.save(study / "a.npy", values)
    return study / "a.npy"


# The preparation
@case("no preparation 'paper' that can be read")
def preparation_unknown(study: Path) -> list[Any]:
    return explain(study, "--preparation", "paper")


@case("is no JSON")
def preparation_no_json(study: Path) -> list[Any]:
    return explain(study, "--preparation", write(study, "steps.json", b"resize 224"))


@case("A preparation is a list of steps, not 3")
def preparation_a_number(study: Path) -> list[Any]:
    return explain(study, "--preparation", write(study, "steps.json", b"3"))


@case("enlarge")
def preparation_unknown_step(study: Path) -> list[Any]:
    steps = write(study, "steps.json", b'[{"step": "enlarge", "size": 224}]')
    return explain(study, "--preparation", steps)


# The image


@case("does not exist")
def a_missing_image(study: Path) -> list[Any]:
    return explain(study, image=study / "nothing.nii.gz")


@case("does not exist")
def an_image_in_a_missing_folder(study: Path) -> list[Any]:
    return explain(study, image=study / "no" / "where" / "a.nii")


@case("is empty")
def an_empty_image(study: Path) -> list[Any]:
    return explain(study, image=write(study, "a.nii.gz", b""))


@case("damaged or cut short")
def a_truncated_image(study: Path) -> list[Any]:
    whole = (study / f"{NAME}.nii.gz").read_bytes()
    return explain(study, image=write(study, "a.nii.gz", whole[: len(whole) // 2]))


@case("is cut short")
def a_truncated_plain_image(study: Path) -> list[Any]:
    whole = gzip.decompress((study / f"{NAME}.nii.gz").read_bytes())
    return explain(study, image=write(study, "a.nii", whole[:5000]))


@case("its content is none")
def text_named_as_an_image(study: Path) -> list[Any]:
    return explain(study, image=write(study, "a.nii", b"Dear colleague,\nplease find\n" * 50))


@case("no image of a known kind")
def a_file_of_another_kind(study: Path) -> list[Any]:
    return explain(study, image=write(study, "a.docx", b"PK\x03\x04" + bytes(500)))


@case("no image of a known kind")
def the_model_as_the_image(study: Path) -> list[Any]:
    return explain(study, image=study / "tiny.safetensors")


@case("is a folder")
def a_folder_as_the_image(study: Path) -> list[Any]:
    return explain(study, image=study)


@case("no finite")
def an_image_of_nan(study: Path) -> list[Any]:
    return explain(study, image=array(study, np.full((5, 48, 40), np.nan)))


@case("not real numbers")
def an_image_of_complex_numbers(study: Path) -> list[Any]:
    return explain(study, image=array(study, np.ones((5, 48, 40), complex)))


@case("cannot be read as a NumPy array")
def an_image_of_python_objects(study: Path) -> list[Any]:
    np.save(study / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return explain(study, image=study / "o.npy")


@case("axis4=")
def four_dimensions_without_a_choice(study: Path) -> list[Any]:
    nib.save(nib.Nifti1Image(np.ones((48, 40, 5, 3), np.float32), np.eye(4)), study / "4d.nii")
    return explain(study, image=study / "4d.nii")


@case("time=7")
def a_time_point_that_does_not_exist(study: Path) -> list[Any]:
    nib.save(nib.Nifti1Image(np.ones((48, 40, 5, 3), np.float32), np.eye(4)), study / "4d.nii")
    return explain(study, "--axis4", "time", "--time", "7", image=study / "4d.nii")


@case("axis4 is")
def an_unknown_meaning_of_an_axis(study: Path) -> list[Any]:
    return explain(study, "--axis4", "echoes")


@case("spacing")
def a_voxel_size_that_is_none(study: Path) -> list[Any]:
    return explain(study, "--spacing", "thick", image=array(study, np.ones((5, 48, 40))))


@case("does not run on an input of shape (1, 1, 1, 1)")
def an_image_of_one_pixel(study: Path) -> list[Any]:
    Image.new("L", (1, 1), 7).save(study / "1x1.png")
    return explain(study, image=study / "1x1.png")


@case("takes 1 channel")
def a_colour_picture_for_a_grey_network(study: Path) -> list[Any]:
    noise = np.random.default_rng(0).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(study / "rgb.png")
    return explain(study, image=study / "rgb.png")


@case("takes 2 channels")
def too_few_channels(study: Path) -> list[Any]:
    model = tiny_model(2)
    preparation = nc.Preparation(model.card.preparation.steps[:-1])
    card = replace(model.card, preparation=preparation)
    save_model(replace(model, card=card), study / "two.safetensors")
    return explain(study, model=study / "two.safetensors")


# The model


@case("no model file")
def a_missing_model(study: Path) -> list[Any]:
    return explain(study, model=study / "nothing.safetensors")


@case("is empty")
def an_empty_model(study: Path) -> list[Any]:
    return explain(study, model=write(study, "m.safetensors", b""))


@case("not a whole .safetensors file")
def a_truncated_model(study: Path) -> list[Any]:
    whole = (study / "tiny.safetensors").read_bytes()
    return explain(study, model=write(study, "m.safetensors", whole[:-100]))


@case("is a folder")
def a_folder_as_the_model(study: Path) -> list[Any]:
    return explain(study, model=study)


@case("no model file that can be read")
def the_image_as_the_model(study: Path) -> list[Any]:
    return explain(study, model=study / f"{NAME}.nii.gz")


@case("damaged or no PyTorch checkpoint")
def text_named_as_a_model(study: Path) -> list[Any]:
    return explain(study, model=write(study, "m.pt", b"weights: see the other folder\n"))


@case("holds pickled Python objects")
def a_pickled_module(study: Path) -> list[Any]:
    torch.save(nn.Sequential(nn.Conv2d(1, 2, 3)), study / "m.pt")
    return explain(study, model=study / "m.pt", image=None)


class _Trap:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("the file was run",))


@case("no PyTorch checkpoint")
def a_pickle_that_runs_code(study: Path) -> list[Any]:
    return explain(study, model=write(study, "m.pth", pickle.dumps({"w": _Trap()})))


@case("TorchScript")
def a_torchscript_file(study: Path) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on its way out of PyTorch, but files are about
        module = torch.jit.trace(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8))
        torch.jit.save(module, study / "m.pt")
    return explain(study, model=study / "m.pt")


@case("give the architecture")
def weights_without_their_architecture(study: Path) -> list[Any]:
    torch.save(nn.Conv2d(1, 2, 3).state_dict(), study / "m.pt")
    return explain(study, model=study / "m.pt")


@case("do not fit")
def weights_of_another_network(study: Path) -> list[Any]:
    torch.save(nn.Conv2d(1, 2, 3).state_dict(), study / "m.pt")
    return explain(study, "--architecture", "resnet18", model=study / "m.pt")


@case("no weights")
def a_checkpoint_without_weights(study: Path) -> list[Any]:
    torch.save({"epoch": 3, "loss": 0.1}, study / "m.pt")
    return explain(study, "--architecture", "resnet18", model=study / "m.pt")


@case("did you mean")
def an_unknown_architecture(study: Path) -> list[Any]:
    torch.save(tiny_model().module.state_dict(), study / "m.pt")
    return explain(study, "--architecture", "resnet19", model=study / "m.pt")


@case("There is no architecture")
def an_unknown_imagenet_network(study: Path) -> list[Any]:
    return explain(study, model="imagenet:fantasynet")


def _with_card(study: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    with safe_open(study / "tiny.safetensors", "pt") as file:
        card = json.loads(file.metadata()["napari_cam"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    changed = change(card)
    text = changed if isinstance(changed, str) else json.dumps(card)
    save_file(tensors, study / "m.safetensors", {"napari_cam": text})
    return study / "m.safetensors"


@case("update napari-cam")
def a_card_of_a_newer_version(study: Path) -> list[Any]:
    return explain(study, model=_with_card(study, lambda card: card.update(format_version=2)))


@case("is no JSON")
def a_card_that_is_no_json(study: Path) -> list[Any]:
    return explain(study, model=_with_card(study, lambda _: "{"))


@case("unknown keys")
def a_card_with_unknown_keys(study: Path) -> list[Any]:
    return explain(study, model=_with_card(study, lambda card: card.update(colour="red")))


@case("2 classes but class_names holds 3")
def class_names_that_do_not_match(study: Path) -> list[Any]:
    return explain(study, "--class-names", "a,b,c")


# What is asked for


@case("There is no method 'gradcan'; did you mean 'gradcam'")
def an_unknown_method(study: Path) -> list[Any]:
    return explain(study, "--method", "gradcan")


@case("no class 'broken'; it has 2: healthy, damaged")
def an_unknown_class(study: Path) -> list[Any]:
    return explain(study, "--class", "broken")


@case("no class '2'")
def a_class_out_of_range(study: Path) -> list[Any]:
    return explain(study, "--class", "2")


@case("layer9")
def an_unknown_layer(study: Path) -> list[Any]:
    return explain(study, "--layer", "layer9")


@case("classifier")
def a_layer_without_maps(study: Path) -> list[Any]:
    return explain(study, "--layer", "classifier")


@case("two different layers")
def one_layer_fused(study: Path) -> list[Any]:
    return explain(study, "--fused", "features.1")


@case("names no slices")
def slices_that_are_no_numbers(study: Path) -> list[Any]:
    return explain(study, "--slices", "top:bottom")


@case("there are 9, 0 to 8")
def slices_out_of_range(study: Path) -> list[Any]:
    return explain(study, "--slices", "5:12")


@case("normalize is one of")
def an_unknown_normalisation(study: Path) -> list[Any]:
    return explain(study, "--normalize", "loud")


@case("scale is one of")
def an_unknown_scale(study: Path) -> list[Any]:
    return explain(study, "--scale", "log")


@case("needs a foreground")
def a_foreground_that_is_missing(study: Path) -> list[Any]:
    return explain(study, "--normalize", "foreground")


@case("There is no device 'abacus'")
def an_unknown_device(study: Path) -> list[Any]:
    return explain(study, "--device", "abacus")


@case("not available")
def a_device_that_is_not_there(study: Path) -> list[Any]:
    return explain(study, "--device", "cuda:99")


@case("precision is one of")
def an_unknown_precision(study: Path) -> list[Any]:
    return explain(study, "--precision", "float8")


@case("positive integer, not 0")
def a_batch_of_none(study: Path) -> list[Any]:
    return explain(study, "--batch-size", "0")


@case("positive integer")
def a_batch_that_is_no_number(study: Path) -> list[Any]:
    return explain(study, "--batch-size", "many")


# Where results go


@case("is a file")
def a_file_where_a_folder_is_expected(study: Path) -> list[Any]:
    write(study, "out", b"mine")
    return explain(study)


@case("/file is a file; give a folder")
def a_folder_below_a_file(study: Path) -> list[Any]:
    write(study, "file", b"mine")
    return [*explain(study)[:4], "--out", study / "file" / "out"]


@case("exists already")
def a_result_that_exists(study: Path) -> list[Any]:
    (study / "out").mkdir()
    write(study / "out", "heatmap_gradcam_features_predicted.nii.gz", b"mine")
    return explain(study)


@case("is a folder")
def a_folder_where_a_result_would_be(study: Path) -> list[Any]:
    (study / "out" / "heatmap_gradcam_features_predicted.nii.gz").mkdir(parents=True)
    return explain(study, "--overwrite")


@case("exists already")
def a_demo_over_other_files(study: Path) -> list[Any]:
    (study / "out").mkdir()
    write(study / "out", "volume.nii.gz", b"mine")
    return ["demo", "--out", study / "out"]


# Masks


def mask(study: Path, *more: Any, heatmap: Any = None) -> list[Any]:
    """Return a mask command that would be right but for what is given."""
    if heatmap is None:
        volume = nc.read_volume(study / f"{NAME}.nii.gz")
        values = np.linspace(0, 1, volume.values.size, dtype=np.float32).reshape(volume.shape)
        heatmap = nc.write_volume(study / "map.nii.gz", values, like=volume)
        (study / "map.json").unlink()
    return ["mask", heatmap, "--out", study / "out", *more]


@case("is no threshold rule")
def an_unknown_rule(study: Path) -> list[Any]:
    return mask(study, "--rule", "guess")


@case("from 0 to 1, not 1.5")
def a_cut_out_of_range(study: Path) -> list[Any]:
    return mask(study, "--rule", "fixed:1.5")


@case("from 0 to 255")
def a_cut_beyond_eight_bits(study: Path) -> list[Any]:
    return mask(study, "--rule", "255:256")


@case("does not exist")
def a_missing_heatmap(study: Path) -> list[Any]:
    return mask(study, heatmap=study / "nothing.nii.gz")


@case("[0, 1] but 'doe_jane.nii.gz' is raw")
def the_image_as_a_heatmap_for_a_fixed_cut(study: Path) -> list[Any]:
    return mask(study, "--rule", "fixed:0.5", heatmap=study / f"{NAME}.nii.gz")


@case("voxels of")
def a_reference_of_another_shape(study: Path) -> list[Any]:
    return mask(study, "--reference", array(study, np.ones((4, 5, 6))))


@case("resample one of them first")
def a_reference_of_another_place(study: Path) -> list[Any]:
    truth = nib.load(study / "truth.nii.gz")
    moved = truth.affine + np.diag([0, 0, 0, 0.0])
    moved[0, 3] += 5
    nib.save(nib.Nifti1Image(np.asarray(truth.dataobj), moved), study / "moved.nii")
    return mask(study, "--reference", study / "moved.nii")


@case("channels")
def a_reference_in_colours(study: Path) -> list[Any]:
    Image.new("RGB", (60, 48)).save(study / "rgb.png")
    return mask(study, "--reference", study / "rgb.png")


@case("no heatmap but a mask")
def a_mask_as_a_heatmap(study: Path) -> list[Any]:
    volume = nc.read_volume(study / f"{NAME}.nii.gz")
    path = nc.write_volume(study / "m.nii.gz", volume.values > 9, like=volume)
    return mask(study, heatmap=path)


@case("cannot be read as JSON")
def a_damaged_sidecar(study: Path) -> list[Any]:
    command = mask(study)
    write(study, "map.json", b"{")
    return command


# Other commands


@case("does not exist")
def info_on_nothing(study: Path) -> list[Any]:
    return ["info", study / "nothing.nii"]


@case("is no input shape")
def an_input_shape_that_is_none(study: Path) -> list[Any]:
    return ["layers", study / "tiny.safetensors", "--input-shape", "3x24x24"]


@case("does not run on an input")
def an_input_shape_that_the_network_does_not_take(study: Path) -> list[Any]:
    return ["layers", study / "tiny.safetensors", "--input-shape", "5,24,24"]


@case("No architecture's name holds")
def a_filter_that_finds_nothing(study: Path) -> list[Any]:
    return ["architectures", "fantasynet"]


def everything_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, call: Call, study: Path) -> None:
    make, words = CASES[name]
    arguments = make(study)
    before = dict(everything_in(study))
    ended = call(*arguments)
    assert ended.code == 1, ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.rstrip()[-1] in ".?", ended.err
    assert "Traceback" not in ended.err
    assert words in ended.err.replace(str(study.parent), ""), ended.err
    assert ended.out == ""
    assert dict(everything_in(study)) == before


def test_there_are_many_kinds() -> None:
    assert len(CASES) >= 30
