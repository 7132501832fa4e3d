"""Lists of images and labels as MONAI reads them (the Medical Segmentation Decathlon's JSON).

``monai.data.load_decathlon_datalist`` reads them, and Auto3DSeg takes the folds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_cam.errors import MaskError, WriteError
from napari_cam.files import check_writable, writing
from napari_cam.labels.files.case_names import hashed, new_salt
from napari_cam.labels.files.nnunet_dataset import ENDING
from napari_cam.provenance import stamp, to_json
from napari_cam.statistics.folds import fill_folds

_RECORD = "napari_cam"


@dataclass(frozen=True)
class DatalistEntry:
    """The files of one case.

    Attributes
    ----------
    image
        The image file, or one file per channel.
    label
        The labels file.
    group
        Cases of one group, such as a patient, stay in one fold. None if the case has no group. Only
        a salted hash of the group is written.
    """

    image: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    label: str | os.PathLike[str]
    group: str | None = field(default=None, repr=False)


def export_datalist(
    path: str | os.PathLike[str],
    entries: Iterable[DatalistEntry],
    labels: Mapping[int, str] | None = None,
    *,
    folds: int = 5,
    validation_fold: int | None = None,
    seed: int = 0,
    append: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a datalist: the files to train on and the files to validate with.

    Paths are written relative to the list's folder, with the file names unchanged. If you share the
    list, you share these names.

    Parameters
    ----------
    path
        The ``.json`` file.
    entries
        The cases. Their files must exist.
    labels
        The meaning of the codes in the label files.
    folds
        Number of folds. Each group goes as a whole to the fold with the fewest cases.
    validation_fold
        The fold to list under "validation"; the other cases are listed under "training". None lists
        all cases under "training", each with its fold, as Auto3DSeg expects.
    seed
        Seed of the random order in which groups are assigned to folds.
    append
        Whether to add to an existing list. Its cases keep their folds, and new cases of an existing
        group join that group's fold. `folds`, `seed` and `validation_fold` must be the same as
        before.
    overwrite
        Whether an existing list may be replaced.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    WriteError
        If the list exists already, cannot be written, or cannot be added to, or if a file does not
        exist or is listed already.
    MaskError
        If the number of folds is not valid.
    """
    path = Path(path)
    if folds < 1 or not (validation_fold is None or 0 <= validation_fold < folds):
        raise MaskError(
            f"Of {folds} folds, {validation_fold} cannot be the one for validation; "
            "count them from 0."
        )
    settings = {"folds": folds, "seed": seed, "validation_fold": validation_fold}
    check_writable(path, overwrite or append)
    known = _read(path, labels, settings) if append and path.exists() else {}
    salt = str(known.get(_RECORD, {}).get("salt") or new_salt())
    old = [*known.get("training", ()), *known.get("validation", ())]
    taken = {str(item["label"]) for item in old}
    items = []
    for entry in entries:
        item = _item(entry, path.parent, salt)
        if item["label"] in taken:
            raise WriteError(f"{item['label']} stands in the list already; leave it out.")
        taken.add(item["label"])
        items.append(item)
    if not items:
        raise WriteError("There is no case to list.")
    _deal(old, items, folds, seed)
    every = [*old, *items]
    facts = {
        **known,
        "labels": known.get("labels") or {str(code): name for code, name in (labels or {}).items()},
        "numTraining": sum(item["fold"] != validation_fold for item in every),
        "training": [item for item in every if item["fold"] != validation_fold],
        "validation": [item for item in every if item["fold"] == validation_fold],
        _RECORD: {**stamp(kind="datalist"), **settings, "salt": salt},
    }
    if validation_fold is None:
        del facts["validation"]
    with writing(path, overwrite or append) as temporary:
        temporary.write_text(to_json(facts), encoding="utf-8")
    return path


def nnunet_entries(folder: str | os.PathLike[str]) -> list[DatalistEntry]:
    """Return the cases of a raw nnU-Net dataset, each in a group of its own.

    Raises
    ------
    WriteError
        If the folder is not such a dataset, or a case has no images.
    """
    folder = Path(folder)
    labels = sorted((folder / "labelsTr").glob(f"*{ENDING}"))
    if not labels:
        raise WriteError(f"{folder} holds no labelsTr/*{ENDING}; give a raw dataset of nnU-Net.")
    entries = []
    for label in labels:
        name = label.name.removesuffix(ENDING)
        images = sorted((folder / "imagesTr").glob(f"{name}_[0-9][0-9][0-9][0-9]{ENDING}"))
        if not images:
            raise WriteError(f"The case {name} of {folder} has no image in imagesTr.")
        image = images[0] if len(images) == 1 else images
        entries.append(DatalistEntry(image, label, name))
    return entries


def _read(path: Path, labels: Mapping[int, str] | None, settings: Mapping[str, Any]) -> Any:
    """Return a list to add to."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        record = known[_RECORD]
        for item in (*known["training"], *known.get("validation", ())):
            str(item["label"]), int(item["fold"]), str(item["group"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WriteError(
            f"{path} is no list that napari-cam wrote, so nothing can be added; "
            "choose another name."
        ) from error
    for key, value in settings.items():
        if record.get(key) != value:
            raise WriteError(
                f"{path} was written with {key}={record.get(key)}, not {value}; give the same."
            )
    if labels is not None and known.get("labels") != {str(k): v for k, v in labels.items()}:
        raise WriteError(f"{path} has other labels than these; give the same or another name.")
    return known


def _item(entry: DatalistEntry, folder: Path, salt: str) -> dict[str, Any]:
    several = not isinstance(entry.image, (str, os.PathLike))
    images = [Path(each) for each in entry.image] if several else [Path(entry.image)]  # type: ignore[union-attr, arg-type]
    paths = [_relative(each, folder) for each in (*images, Path(entry.label))]
    group = entry.group if entry.group is not None else paths[-1]
    return {
        "image": paths[:-1] if several else paths[0],
        "label": paths[-1],
        "group": hashed(group, salt),
    }


def _relative(path: Path, folder: Path) -> str:
    if not path.is_file():
        raise WriteError(f"{path} does not exist, so it cannot be listed; check the name.")
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError as error:
        raise WriteError(
            f"{path} lies on another drive than the list; write the list beside the files."
        ) from error


def _deal(
    old: Sequence[Mapping[str, Any]], items: Sequence[dict[str, Any]], folds: int, seed: int
) -> None:
    """Give every new item its fold: that of its group, or else the one with the fewest items."""
    known = {str(item["group"]): int(item["fold"]) for item in old}
    filled = Counter(int(item["fold"]) for item in old)
    members: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        members.setdefault(item["group"], []).append(item)
    order = {
        group: hashlib.sha256(f"{seed}:{min(item['label'] for item in found)}".encode()).digest()
        for group, found in members.items()
    }
    sizes = {group: len(members[group]) for group in sorted(members, key=order.__getitem__)}
    for group, fold in fill_folds(sizes, [filled[each] for each in range(folds)], known).items():
        for item in members[group]:
            item["fold"] = fold
