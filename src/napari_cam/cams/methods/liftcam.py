"""LIFT-CAM: channels weighted by their DeepLIFT contributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from napari_cam.cams.methods.base import CamMethod, Evidence, probe_of
from napari_cam.cams.methods.deeplift import complete_contributions
from napari_cam.cams.methods.gradient import weighted_sum


@dataclass(frozen=True)
class LiftCAM(CamMethod):
    """LIFT-CAM: alpha_k = what DeepLIFT says channel k adds to the score; ReLU(sum_k alpha_k A_k).

    Jung and Oh 2021 (arXiv:2102.05228). DeepLIFT's rescale rule with reference activation 0, summed
    over places, stands in for the SHAP value of keeping channel k; where everything above the layer
    is linear it is that value. The contributions must add up to y(A) - y(0) within 1 %.
    """

    name: ClassVar[str] = "liftcam"
    title: ClassVar[str] = "LIFT-CAM"
    reference: ClassVar[str] = "Jung and Oh 2021, arXiv:2102.05228"
    summary: ClassVar[str] = "channels weighted by what they add to the score (DeepLIFT)"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "rescoring"})
    reads_modules: ClassVar[bool] = True

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k alpha_k A_k."""
        weights = complete_contributions(probe_of(evidence)).flatten(2).sum(2)
        return weighted_sum(weights, evidence.activations)
