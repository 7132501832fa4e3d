"""Raw datasets of nnU-Net v2: images, labels with "ignore", dataset.json.

The layout is that of nnU-Net's documentation (dataset_format.md), and the checks those of its
``verify_dataset_integrity``.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cam.errors import MaskError, NapariCamError, WriteError
from napari_cam.files import put_in_place
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.codes import IGNORE_NAME, Zero
from napari_cam.labels.files.label_image import LabelImage, colours
from napari_cam.labels.files.nnunet_dataset import (
    DATASET,
    ENDING,
    IMAGES,
    LABELS,
    RECORD,
    Dataset,
    TrainingCase,
    read_json,
)
from napari_cam.labels.files.reading import read_labels
from napari_cam.provenance import stamp
from napari_cam.volumes.writing import write_volume


def export_nnunet(
    folder: str | os.PathLike[str],
    cases: Iterable[TrainingCase],
    channel_names: Sequence[str] | None = None,
    classes: LabelClasses | None = None,
    zero: Zero | None = None,
    overwrite: bool = False,
) -> Path:
    """Write cases to a new or an existing raw dataset of nnU-Net v2.

    Parameters
    ----------
    folder
        The dataset's folder, with a name that nnU-Net accepts: ``Dataset012_Lesion``. If it exists,
        the cases are added; channels and labels must match those of the dataset.
    cases
        The training cases. They are read one by one, so a generator need not hold all in memory.
    channel_names
        One name per channel; None to use those of the dataset or of the image. nnU-Net normalises a
        channel called "CT" as CT, and other channels by mean and standard deviation.
    classes
        The meaning of the codes; None to use the classes of the first labels.
    zero
        "ignore" if 0 is unlabelled and 1 is background, as in seeds: 0 then becomes nnU-Net's
        "ignore" label, the highest code. "background" if 0 is background. None chooses by the type
        of the labels (seeds or not).
    overwrite
        Whether to replace cases of the same name.

    Returns
    -------
    Path
        The folder. Its ``napari_cam.json`` records the remap and how each case was made.

    Raises
    ------
    MaskError
        If labels do not fit their image, or a case's name is not valid.
    WriteError
        If a case exists already, does not fit the dataset, or cannot be written. The dataset is
        then left unchanged.
    """
    folder = Path(folder)
    if not re.fullmatch(r"Dataset\d{3}_[A-Za-z0-9][A-Za-z0-9_-]*", folder.name):
        raise WriteError(
            f"'{folder.name}' is no name that nnU-Net takes for a dataset; call it Dataset, three "
            "digits, an underscore and a word, as Dataset012_Lesion."
        )
    dataset = Dataset.read(folder)
    known = dataset.facts
    with _staging(folder) as staged:
        names = []
        for case in cases:
            case, dataset = dataset.take(case, channel_names, classes, zero)
            name = str(case.name)
            if name in names or (not overwrite and dataset.holds(folder, name)):
                raise WriteError(
                    f"The case {name} exists already in {folder.name}; give it another name or ask "
                    "to overwrite it."
                )
            names.append(name)
            dataset = dataset.with_record(name, _write(staged, case, dataset))
        if not names:
            raise WriteError("There is no case to export.")
        dataset.write(staged, names)
        if read_json(folder / DATASET) != known:
            raise WriteError(
                f"{folder} was changed by another program meanwhile; export the cases again."
            )
        _move(staged, folder)
    return folder


def read_nnunet_labels(folder: str | os.PathLike[str], name: str) -> LabelImage:
    """Return a case's labels with our codes, as they were before the export.

    Parameters
    ----------
    folder
        The dataset's folder. Datasets of other programs work too.
    name
        Name of the case.

    Raises
    ------
    VolumeError, MaskError
        If there is no such case, or its labels cannot be read.
    """
    folder = Path(folder)
    dataset = Dataset.read(folder)
    image = read_labels(folder / LABELS / f"{name}{ENDING}")
    remap = dataset.remap_of(name)
    back = remap.inverse()
    kind = "seeds" if IGNORE_NAME in remap.names.values() else "labels"
    stated = dataset.record.get("cases", {}).get(name, {}).get("classes")
    if stated:
        classes = LabelClasses.from_json(stated)
    else:
        codes = {old: remap.names[new] for old, new in remap.codes.items() if old > 0}
        shades = colours(len(codes))
        classes = LabelClasses(
            tuple(
                LabelClass(old, text, shade)
                for (old, text), shade in zip(codes.items(), shades, strict=True)
            )
        )
    return replace(image, labels=back.apply(image.labels), classes=classes, kind=kind)


def _write(staged: Path, case: TrainingCase, dataset: Dataset) -> dict[str, Any]:
    """Write one case, and return its record."""
    volumes, name = case.volumes, str(case.name)
    channels = [(volume, one) for volume in volumes for one in volume.channels_first()]
    for number, (volume, channel) in enumerate(channels):
        values = np.asarray(channel)
        if values.dtype.kind == "f" and not bool(np.isfinite(values).all()):
            raise WriteError(
                f"The image of case {name} holds voxels that are no number, which nnU-Net refuses; "
                "fill them first."
            )
        write_volume(staged / IMAGES / f"{name}_{number:04}{ENDING}", values, like=volume)
    codes, labels = dataset.codes, case.labels
    if codes is None or not isinstance(labels, LabelImage):
        raise MaskError(f"The labels of case {name} were not checked.")
    target = staged / LABELS / f"{name}{ENDING}"
    write_volume(target, codes.apply(labels.labels), like=volumes[0])
    return stamp(
        kind=labels.kind,
        images=[volume.sha256() for volume in volumes],
        classes=dataset.classes.to_json(),
        remap=codes.to_json(),
        made_from=dict(labels.provenance),
    )


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield a folder on the same disk to write to, which goes again."""
    if not folder.parent.is_dir():
        raise WriteError(f"The folder {folder.parent} does not exist; create it first.")
    made = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=folder, prefix=".writing-"))
    except OSError as error:
        raise WriteError(
            f"Nothing can be written in {folder} ({error.strerror}); choose another folder."
        ) from error
    try:
        for name in (IMAGES, LABELS):
            (staged / name).mkdir()
        yield staged
    except NapariCamError:
        raise
    except OSError as error:
        raise WriteError(
            f"{folder} could not be written ({error.strerror or error}); "
            "free some space or choose another folder."
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if made:
            for empty in (folder / IMAGES, folder / LABELS, folder):
                with suppress(OSError):
                    empty.rmdir()  # refuses where something lies in it


def _move(staged: Path, folder: Path) -> None:
    """Move everything to its place, dataset.json last; all or nothing."""
    moves = []
    for name in (IMAGES, LABELS):
        (folder / name).mkdir(exist_ok=True)
        files = sorted(path for path in (staged / name).iterdir() if path.name.endswith(ENDING))
        moves += [(path, folder / name / path.name) for path in files]
    moves += [(staged / name, folder / name) for name in (RECORD, DATASET)]
    put_in_place(moves)
