"""Raw datasets of nnU-Net v2: images, labels with "ignore", dataset.json.

The layout is that of nnU-Net's documentation (dataset_format.md), and the checks those of its
``verify_dataset_integrity``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError, NapariCamError, WriteError
from napari_cam.files import put_in_place
from napari_cam.grid import check_same_place
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.codes import IGNORE_NAME, Remap, Zero, nnunet_codes
from napari_cam.labels.files.case_names import check_name, hashed, new_salt
from napari_cam.labels.files.label_image import LabelImage, colours, label_image
from napari_cam.labels.files.reading import read_labels
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.provenance import stamp, to_json
from napari_cam.volumes.volume import Volume
from napari_cam.volumes.writing import write_volume

ENDING = ".nii.gz"
RECORD = "napari_cam.json"
"""The record of a dataset: what made each case, and the salt of hashed names."""

_IMAGES, _LABELS, _DATASET = "imagesTr", "labelsTr", "dataset.json"
_MOST_CHANNELS = 10_000


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """An image and its labels.

    Attributes
    ----------
    images
        The image, or one for each channel, all on the same grid.
    labels
        Seeds, labels that `read_labels` returned, or an array (z, y, x).
    name
        What the case is called; None for a hash of `subject`.
    subject
        Whom it is of, to be hashed; None for what the image says. It is written nowhere.
    """

    images: Volume | Sequence[Volume]
    labels: Seeds | LabelImage | NDArray[Any]
    name: str | None = None
    subject: str | None = field(default=None, repr=False)

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The images."""
        return (self.images,) if isinstance(self.images, Volume) else tuple(self.images)


def export_nnunet(
    folder: str | os.PathLike[str],
    cases: Iterable[TrainingCase],
    channel_names: Sequence[str] | None = None,
    classes: LabelClasses | None = None,
    zero: Zero | None = None,
    overwrite: bool = False,
) -> Path:
    """Write cases into a raw dataset of nnU-Net v2, a new one or one that exists.

    Parameters
    ----------
    folder
        The dataset's folder, named as nnU-Net wants: ``Dataset012_Lesion``. Where it exists, the
        cases are added; its channels and labels must be the same.
    cases
        What to learn from; taken one by one, so that a generator need not hold all in memory.
    channel_names
        A name for each channel; None for those of the dataset, or of the image. nnU-Net
        normalises a channel called "CT" as CT, others by their mean and spread.
    classes
        What the codes mean; None for what the first labels say.
    zero
        "ignore" where 0 is unlabelled and 1 background, as in seeds: 0 becomes nnU-Net's "ignore"
        label, the highest. "background" where 0 is background. None for what the labels are:
        seeds or not.
    overwrite
        Whether cases of the same name may be replaced.

    Returns
    -------
    Path
        The folder. ``napari_cam.json`` in it states the remap, and what made each case.

    Raises
    ------
    MaskError
        Where labels do not fit their image, or a case's name cannot be one.
    WriteError
        Where a case exists already, does not fit the dataset, or cannot be written. The dataset
        stays as it was then.
    """
    folder = Path(folder)
    if not re.fullmatch(r"Dataset\d{3}_[A-Za-z0-9][A-Za-z0-9_-]*", folder.name):
        raise WriteError(
            f"'{folder.name}' is no name that nnU-Net takes for a dataset; call it Dataset, three "
            "digits, an underscore and a word, as Dataset012_Lesion."
        )
    dataset = _Dataset.read(folder)
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
        if _json(folder / _DATASET) != known:
            raise WriteError(
                f"{folder} was changed by another program meanwhile; export the cases again."
            )
        _move(staged, folder)
    return folder


def read_nnunet_labels(folder: str | os.PathLike[str], name: str) -> LabelImage:
    """Return the labels of a case in our codes, as they were before the export.

    Parameters
    ----------
    folder
        The dataset's folder; of another program's too.
    name
        The case's name.

    Raises
    ------
    VolumeError, MaskError
        Where there is no such case, or its labels cannot be read.
    """
    folder = Path(folder)
    dataset = _Dataset.read(folder)
    image = read_labels(folder / _LABELS / f"{name}{ENDING}")
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


@dataclass(frozen=True)
class _Dataset:
    """What a dataset's folder holds."""

    facts: Mapping[str, Any]  # dataset.json; empty for a new one
    record: Mapping[str, Any]  # napari_cam.json
    cases: frozenset[str]
    codes: Remap | None = None  # of the labels that are being written
    classes: LabelClasses = field(default_factory=lambda: LabelClasses(()))

    @classmethod
    def read(cls, folder: Path) -> _Dataset:
        if folder.exists() and not folder.is_dir():
            raise WriteError(f"{folder} is a file; give a folder for the dataset.")
        facts, record = _json(folder / _DATASET), _json(folder / RECORD)
        labels = folder / _LABELS
        cases = [path.name for path in labels.iterdir()] if labels.is_dir() else []
        if cases and not facts:
            raise WriteError(
                f"{folder} holds labels but no {_DATASET}, so nothing can be added to it; "
                "choose another folder."
            )
        if facts and facts.get("file_ending") != ENDING:
            raise WriteError(
                f"The images of {folder} are not {ENDING} files, so none of these can be added; "
                "choose another folder."
            )
        found = frozenset(name.removesuffix(ENDING) for name in cases if name.endswith(ENDING))
        return cls(facts, record, found)

    def take(
        self,
        case: TrainingCase,
        channel_names: Sequence[str] | None,
        classes: LabelClasses | None,
        zero: Zero | None,
    ) -> tuple[TrainingCase, _Dataset]:
        """Return a case checked, named and on its image's grid, and the dataset with it."""
        volumes = case.volumes
        if not volumes:
            raise MaskError("A case has no image; give one, or one for each channel.")
        subject = case.subject or volumes[0].identity.subject
        record = {**self.record, "salt": self.record.get("salt") or new_salt()}
        name = case.name
        if name is None:
            if not subject:
                raise MaskError("A case has neither a name nor a subject; give one of them.")
            name = f"case_{hashed(subject, record['salt'])}"
        check_name(name, None)
        if case.name is not None:
            for known in (case.subject, *(volume.identity.subject for volume in volumes)):
                check_name(name, known)
        for volume in volumes[1:]:
            channel = f"A channel of case {name}"
            check_same_place(channel, volume.grid, "its first", volumes[0].grid, MaskError)
        image = label_image(case.labels, volumes[0].grid, classes)
        codes = nnunet_codes(image.classes, zero or _zero(image))
        if self.codes is not None and (self.codes, self.classes) != (codes, image.classes):
            raise WriteError(
                f"The labels of case {name} have other classes than those before; "
                "give all the same with classes=."
            )
        facts = self._facts(volumes, channel_names, codes)
        named = TrainingCase(volumes, image, name, subject)
        return named, replace(self, facts=facts, record=record, codes=codes, classes=image.classes)

    def _facts(
        self, volumes: Sequence[Volume], channel_names: Sequence[str] | None, codes: Remap
    ) -> dict[str, Any]:
        """Return what dataset.json says with a case, which must not differ from what it said."""
        n = sum(volume.n_channels for volume in volumes)
        known = self.facts.get("channel_names")
        if channel_names is None and isinstance(known, Mapping):
            named = {str(key): str(value) for key, value in known.items()}
        else:
            given = list(channel_names) if channel_names is not None else _channels(volumes)
            named = {str(number): text for number, text in enumerate(given)}
        if len(named) != n or n >= _MOST_CHANNELS:
            raise WriteError(f"A case has {n} channels, but {len(named)} are named; name them all.")
        stated = {
            "channel_names": named,
            "labels": {text: code for code, text in sorted(codes.names.items())},
        }
        for key, value in stated.items():
            if key in self.facts and self.facts[key] != value:
                raise WriteError(
                    f"The dataset has the {key.replace('_', ' ')} {_listed(self.facts[key])}, but "
                    f"the case {_listed(value)}; choose another folder or give the same."
                )
        return {**self.facts, **stated, "file_ending": ENDING}

    def holds(self, folder: Path, name: str) -> bool:
        """Whether there is a case of this name; one whose labels are still to come counts too."""
        images = (folder / _IMAGES).glob(f"{name}_[0-9][0-9][0-9][0-9]{ENDING}")
        return name in self.cases or any(images)

    def with_record(self, name: str, facts: Mapping[str, Any]) -> _Dataset:
        """Return the dataset with the record of a case."""
        cases = {**self.record.get("cases", {}), name: facts}
        return replace(self, record={**self.record, "cases": cases})

    def write(self, staged: Path, names: Sequence[str]) -> None:
        """Write dataset.json and the record."""
        n = len(self.cases | set(names))
        facts = {**self.facts, "numTraining": n}
        facts.setdefault("converted_by", "napari-cam")
        (staged / _DATASET).write_text(to_json(facts), encoding="utf-8")
        record = {"kind": "nnunet-dataset", **self.record}
        (staged / RECORD).write_text(to_json(record), encoding="utf-8")

    def remap_of(self, name: str) -> Remap:
        """Return which of our codes became which in a case."""
        names = {}
        for text, code in (self.facts.get("labels") or {}).items():
            if not isinstance(code, int):
                raise MaskError(
                    f"The label '{text}' of the dataset stands for several codes (a region), "
                    "which labels cannot say."
                )
            names[code] = str(text)
        stated = self.record.get("cases", {}).get(name, {}).get("remap")
        if isinstance(stated, Mapping):
            return Remap({int(old): int(new) for old, new in stated.items()}, names)
        ignore = next((code for code, text in names.items() if text == IGNORE_NAME), None)
        ours = {code + (ignore is not None): code for code in names if code != ignore}
        return Remap(ours if ignore is None else {0: ignore, **ours}, names)


def _json(path: Path) -> Mapping[str, Any]:
    """Return what a JSON file says; nothing where there is none."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise WriteError(
            f"{path} cannot be read as JSON, so nothing can be added beside it; mend it or choose "
            "another folder."
        ) from error
    if not isinstance(facts, Mapping):
        raise WriteError(f"{path} is no JSON object; mend it or choose another folder.")
    return facts


def _zero(image: LabelImage) -> Zero:
    return "ignore" if image.kind == "seeds" else "background"


def _channels(volumes: Sequence[Volume]) -> list[str]:
    names = [name for volume in volumes for name in (volume.channel_names or ("image",))]
    if len(set(names)) < len(names):
        names = [f"channel {number}" for number in range(1, len(names) + 1)]
    return names


def _listed(facts: Any) -> str:
    return ", ".join(f"{key}: {value}" for key, value in dict(facts).items())


def _write(staged: Path, case: TrainingCase, dataset: _Dataset) -> dict[str, Any]:
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
        write_volume(staged / _IMAGES / f"{name}_{number:04}{ENDING}", values, like=volume)
    codes, labels = dataset.codes, case.labels
    if codes is None or not isinstance(labels, LabelImage):
        raise MaskError(f"The labels of case {name} were not checked.")
    target = staged / _LABELS / f"{name}{ENDING}"
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
        for name in (_IMAGES, _LABELS):
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
            for empty in (folder / _IMAGES, folder / _LABELS, folder):
                with suppress(OSError):
                    empty.rmdir()  # refuses where something lies in it


def _move(staged: Path, folder: Path) -> None:
    """Move everything to its place, dataset.json last; all or nothing."""
    moves = []
    for name in (_IMAGES, _LABELS):
        (folder / name).mkdir(exist_ok=True)
        files = sorted(path for path in (staged / name).iterdir() if path.name.endswith(ENDING))
        moves += [(path, folder / name / path.name) for path in files]
    moves += [(staged / name, folder / name) for name in (RECORD, _DATASET)]
    put_in_place(moves)
