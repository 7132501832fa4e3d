"""What the folder of a raw nnU-Net dataset holds, and which cases may join it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_cam.errors import MaskError, WriteError
from napari_cam.grid import check_same_place
from napari_cam.labels.classes import LabelClasses
from napari_cam.labels.codes import IGNORE_NAME, Remap, Zero, nnunet_codes
from napari_cam.labels.files.case_names import check_name, hashed, new_salt
from napari_cam.labels.files.label_image import LabelImage, label_image
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.provenance import to_json
from napari_cam.volumes.volume import Volume

ENDING = ".nii.gz"
RECORD = "napari_cam.json"
"""The record of a dataset: what made each case, and the salt of hashed names."""

IMAGES, LABELS, DATASET = "imagesTr", "labelsTr", "dataset.json"
_MOST_CHANNELS = 10_000


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """An image and its labels.

    Attributes
    ----------
    images
        The image, or one image per channel, all on the same grid.
    labels
        Seeds, labels from :func:`read_labels`, or an array (z, y, x).
    name
        Name of the case; None for a hash of `subject`.
    subject
        The subject's identifier, used only to compute the hash; None to take it from the image. It
        is never written.
    """

    images: Volume | Sequence[Volume]
    labels: Seeds | LabelImage | NDArray[Any]
    name: str | None = None
    subject: str | None = field(default=None, repr=False)

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The images."""
        return (self.images,) if isinstance(self.images, Volume) else tuple(self.images)


@dataclass(frozen=True)
class Dataset:
    """What a dataset's folder holds."""

    facts: Mapping[str, Any]  # dataset.json; empty for a new one
    record: Mapping[str, Any]  # napari_cam.json
    cases: frozenset[str]
    codes: Remap | None = None  # of the labels that are being written
    classes: LabelClasses = field(default_factory=lambda: LabelClasses(()))

    @classmethod
    def read(cls, folder: Path) -> Dataset:
        """Read what a folder holds; an empty dataset where there is none yet."""
        if folder.exists() and not folder.is_dir():
            raise WriteError(f"{folder} is a file; give a folder for the dataset.")
        facts, record = read_json(folder / DATASET), read_json(folder / RECORD)
        labels = folder / LABELS
        cases = [path.name for path in labels.iterdir()] if labels.is_dir() else []
        if cases and not facts:
            raise WriteError(
                f"{folder} holds labels but no {DATASET}, so nothing can be added to it; "
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
    ) -> tuple[TrainingCase, Dataset]:
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
        images = (folder / IMAGES).glob(f"{name}_[0-9][0-9][0-9][0-9]{ENDING}")
        return name in self.cases or any(images)

    def with_record(self, name: str, facts: Mapping[str, Any]) -> Dataset:
        """Return the dataset with the record of a case."""
        cases = {**self.record.get("cases", {}), name: facts}
        return replace(self, record={**self.record, "cases": cases})

    def write(self, staged: Path, names: Sequence[str]) -> None:
        """Write dataset.json and the record."""
        n = len(self.cases | set(names))
        facts = {**self.facts, "numTraining": n}
        facts.setdefault("converted_by", "napari-cam")
        (staged / DATASET).write_text(to_json(facts), encoding="utf-8")
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


def read_json(path: Path) -> Mapping[str, Any]:
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
