"""What nnU-Net v2 checks of a raw dataset (``verify_dataset_integrity`` of 2.8), read anew.

nnU-Net itself brings some fifteen packages, so that its rules are written down here: by nibabel
and SimpleITK, the two libraries that it reads NIfTI files with.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK


def verify(folder: Path) -> dict[str, int]:
    """Check a dataset; returns what its labels mean."""
    assert re.fullmatch(r"Dataset\d{3}_.+", folder.name)
    facts = json.loads((folder / "dataset.json").read_text())
    assert {"labels", "channel_names", "numTraining", "file_ending"} <= set(facts)
    ending, labels = facts["file_ending"], facts["labels"]

    # Channels are numbered from 0 in text; labels are consecutive, "ignore" is the highest.
    assert list(facts["channel_names"]) == [str(n) for n in range(len(facts["channel_names"]))]
    assert labels["background"] == 0
    codes = sorted(code for name, code in labels.items() if name != "ignore")
    assert codes == list(range(len(codes)))
    if "ignore" in labels:
        assert labels["ignore"] == codes[-1] + 1
        codes.append(labels["ignore"])

    # Cases are found by the images: everything but the channel's four digits.
    images = [path.name for path in (folder / "imagesTr").iterdir()]
    assert all(re.fullmatch(rf".+_\d{{4}}{re.escape(ending)}", name) for name in images)
    cases = {name[: -len(ending) - 5] for name in images}
    assert len(cases) == facts["numTraining"]
    assert {path.name for path in (folder / "labelsTr").iterdir()} == {
        f"{case}{ending}" for case in cases
    }
    for case in cases:
        channels = sorted(name for name in images if name[: -len(ending) - 5] == case)
        assert channels == [f"{case}_{n:04}{ending}" for n in range(len(facts["channel_names"]))]
        _check_case(
            [folder / "imagesTr" / name for name in channels],
            folder / "labelsTr" / f"{case}{ending}",
            codes,
        )
    return dict(labels)


def _check_case(images: list[Path], label: Path, codes: list[int]) -> None:
    seg, by_itk = nib.load(label), SimpleITK.ReadImage(str(label))
    found = np.asanyarray(seg.dataobj)
    assert set(np.unique(found).tolist()) <= set(codes)
    for path in images:
        image, itk = nib.load(path), SimpleITK.ReadImage(str(path))
        values = np.asanyarray(image.dataobj)
        assert not np.isnan(values).any()
        assert values.shape == found.shape
        assert np.allclose(image.header.get_zooms(), seg.header.get_zooms())
        assert np.allclose(image.affine, seg.affine)
        assert np.allclose(itk.GetSpacing(), by_itk.GetSpacing())
        assert np.allclose(itk.GetOrigin(), by_itk.GetOrigin())
        assert np.allclose(itk.GetDirection(), by_itk.GetDirection())
