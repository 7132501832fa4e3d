r"""The gradient family, side by side.

A (n, k, *f) are the activations of the target layer, G = dy/dA their gradients, Z the number of
places of a map, sums run over places unless said otherwise. Every formula reduces over whatever
axes follow the channels, so two and three dimensions share each line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from napari_cam.cams.methods.base import CamMethod, Evidence, ReLU, whole_number
from napari_cam.errors import MethodError

# A channel whose sum cancels to this share of its absolute sum holds rounding errors, no mean.
_CANCELLED = 1e-6


def weighted_sum(weights: Tensor, activations: Tensor) -> Tensor:
    """Return sum_k w_k A_k: (n, k) and (n, k, *f) give (n, *f)."""
    flat = torch.bmm(weights.unsqueeze(1), activations.flatten(2))
    return flat.reshape(activations.shape[0], *activations.shape[2:])


def over_places(weights: Tensor, like: Tensor) -> Tensor:
    """Return (n, k) weights as (n, k, 1, ...) to be multiplied with (n, k, *f)."""
    return weights.reshape(*weights.shape, *(1,) * (like.ndim - 2))


def gradients_of(evidence: Evidence) -> Tensor:
    """Return the gradients; a formula that asks for them was given them."""
    if evidence.gradients is None:
        raise MethodError("This method needs gradients, and none were computed.")
    return evidence.gradients


@dataclass(frozen=True)
class CAM(CamMethod):
    """Class activation map: sum_k w_k A_k with the weights of the linear layer after pooling.

    Zhou et al. 2016, eq. 2; Kang et al. 2021, section 2.2. No ReLU, the bias ignored.
    """

    name: ClassVar[str] = "cam"
    title: ClassVar[str] = "CAM"
    reference: ClassVar[str] = "Zhou et al. 2016, eq. 2"
    summary: ClassVar[str] = "weights of the linear layer after global average pooling"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "class weights"})

    relu: ReLU = "none"

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k w_k A_k."""
        if evidence.class_weights is None:
            raise MethodError("CAM needs the weights of a linear layer, and none were found.")
        return weighted_sum(evidence.class_weights, evidence.activations)


@dataclass(frozen=True)
class GradCAM(CamMethod):
    """Grad-CAM: w_k = (1/Z) sum G_k; map = ReLU(sum_k w_k A_k).

    Selvaraju et al. 2017, eq. 1 and 2; Rheude et al. 2024, eq. 2 and 3.
    """

    name: ClassVar[str] = "gradcam"
    title: ClassVar[str] = "Grad-CAM"
    reference: ClassVar[str] = "Selvaraju et al. 2017, eq. 1-2"
    summary: ClassVar[str] = "channels weighted by their mean gradient"

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k mean(G_k) A_k."""
        weights = gradients_of(evidence).flatten(2).mean(2)
        return weighted_sum(weights, evidence.activations)


@dataclass(frozen=True)
class GradCAMPlusPlus(CamMethod):
    """Grad-CAM++: w_k = sum alpha_k ReLU(G_k), alpha_k = G_k^2 / (2 G_k^2 + G_k^3 sum A_k).

    Chattopadhay et al. 2018, eq. 19, in closed form and without exp(y), a common factor that
    cancels on normalisation and overflows float32 beyond y = 88.

    Attributes
    ----------
    normalize_alpha
        Divide alpha by its sum over the places with positive gradients, as the original authors'
        release does and the published formula does not.
    """

    name: ClassVar[str] = "gradcam++"
    title: ClassVar[str] = "Grad-CAM++"
    reference: ClassVar[str] = "Chattopadhay et al. 2018, eq. 19"
    summary: ClassVar[str] = "positive gradients, each place weighted by how rare its evidence is"

    normalize_alpha: bool = False

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k w_k A_k."""
        A, G = evidence.activations, gradients_of(evidence)
        # G^2 / (2 G^2 + G^3 s) = 1 / (2 + G s): nothing of order G^2 that could underflow.
        denominator = 2 + G * over_places(A.flatten(2).sum(2), G)
        usable = (G != 0) & (denominator > 0)
        alpha = torch.where(usable, 1 / torch.where(usable, denominator, 1.0), 0.0)
        if self.normalize_alpha:
            positive = torch.where(G > 0, alpha, 0.0)
            total = over_places(positive.flatten(2).sum(2), alpha)
            alpha = alpha / torch.where(total > 0, total, 1.0)
        weights = (alpha * G.clamp(min=0)).flatten(2).sum(2)
        return weighted_sum(weights, A)


@dataclass(frozen=True)
class XGradCAM(CamMethod):
    """XGrad-CAM: w_k = sum(G_k A_k) / sum(A_k); map = ReLU(sum_k w_k A_k).

    Fu et al. 2020 (arXiv:2008.02312). A channel whose sum vanishes relative to sum |A_k| gets
    weight 0.
    """

    name: ClassVar[str] = "xgradcam"
    title: ClassVar[str] = "XGrad-CAM"
    reference: ClassVar[str] = "Fu et al. 2020, arXiv:2008.02312"
    summary: ClassVar[str] = "gradients averaged where the channel is active"

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k w_k A_k."""
        A, G = evidence.activations.flatten(2), gradients_of(evidence).flatten(2)
        total = A.sum(2)
        usable = total.abs() > _CANCELLED * A.abs().sum(2)
        weights = torch.where(usable, (G * A).sum(2) / torch.where(usable, total, 1.0), 0.0)
        return weighted_sum(weights, evidence.activations)


@dataclass(frozen=True)
class HiResCAM(CamMethod):
    """HiResCAM: sum_k G_k * A_k, element by element.

    Draelos and Carin 2020 (arXiv:2011.08891), which keeps the sign; Rheude et al. 2024
    (Seg-HiRes-Grad CAM) rectifies the sum, and so do heatmaps here unless told otherwise.

    Attributes
    ----------
    relu
        "sum" rectifies the finished map, "none" keeps its sign, "per_channel" rectifies each
        product before the sum.
    """

    name: ClassVar[str] = "hirescam"
    title: ClassVar[str] = "HiResCAM"
    reference: ClassVar[str] = "Draelos and Carin 2020, arXiv:2011.08891; Rheude et al. 2024, eq. 4"
    summary: ClassVar[str] = "gradient times activation at every place; sums to the score"
    relu_choices: ClassVar[tuple[ReLU, ...]] = ("sum", "none", "per_channel")

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k G_k * A_k."""
        product = gradients_of(evidence) * evidence.activations
        return (product.clamp(min=0) if self.relu == "per_channel" else product).sum(1)


@dataclass(frozen=True)
class LayerCAM(CamMethod):
    """Layer-CAM: ReLU(sum_k ReLU(G_k) * A_k), element by element.

    Jiang et al. 2021 (IEEE TIP 30, 5875). Several layers become one map through :class:`Fused`.

    Attributes
    ----------
    legacy_mean_positive_grad
        Weight each channel by the mean of its positive gradients, as tf-keras-vis did up to 0.8.1
        and the maps of Syed et al. 2023 probably were: one weight per channel, no longer local.
    """

    name: ClassVar[str] = "layercam"
    title: ClassVar[str] = "Layer-CAM"
    reference: ClassVar[str] = "Jiang et al. 2021, IEEE TIP 30, 5875"
    summary: ClassVar[str] = "positive gradient times activation at every place; fine layers too"

    legacy_mean_positive_grad: bool = False

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k ReLU(G_k) * A_k."""
        positive = gradients_of(evidence).clamp(min=0)
        if self.legacy_mean_positive_grad:
            return weighted_sum(positive.flatten(2).mean(2), evidence.activations)
        return (positive * evidence.activations).sum(1)


@dataclass(frozen=True)
class XResCAM(CamMethod):
    """Seg-XRes-CAM: ReLU(sum_k R(pool_p(G_k)) * A_k), R enlarging back by the nearest neighbour.

    Seg-XRes-CAM's code, as Rheude et al. 2024 describe it. A window of 1 is HiResCAM; the mean over
    a window as large as the map is Grad-CAM.

    Attributes
    ----------
    window
        Side p of the pooling window in map cells; along an axis shorter than that, the whole axis.
        Where p does not divide the map, the last window is a smaller one and its mean is over the
        cells that it has: no zeros are padded, as that code does.
    pool
        "mean" or "max" of the gradients in a window. That code's default is the maximum; its
        demonstration uses the mean.
    """

    name: ClassVar[str] = "xrescam"
    title: ClassVar[str] = "Seg-XRes-CAM"
    reference: ClassVar[str] = "Seg-XRes-CAM (code); Rheude et al. 2024"
    summary: ClassVar[str] = "gradients pooled in windows: between Grad-CAM and HiResCAM"

    window: int = 2
    pool: Literal["mean", "max"] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self, "window")
        if self.pool not in ("mean", "max"):
            raise MethodError(f"{self.title}: pool is one of 'mean', 'max', not '{self.pool}'.")

    def raw(self, evidence: Evidence) -> Tensor:
        """Return sum_k R(pool_p(G_k)) * A_k."""
        pooled = pooled_in_windows(gradients_of(evidence), self.window, self.pool)
        return (pooled * evidence.activations).sum(1)


def pooled_in_windows(maps: Tensor, window: int, pool: Literal["mean", "max"]) -> Tensor:
    """Give every place of maps (n, k, *f) the mean or maximum of the window that it lies in.

    Windows of `window` places along each axis tile the map from its first place on; the last of
    an axis ends where the map does.
    """
    # Mean and maximum over a box are those along one axis after the other.
    for axis in range(2, maps.ndim):
        parts = [
            part.mean(axis, keepdim=True) if pool == "mean" else part.amax(axis, keepdim=True)
            for part in torch.split(maps, window, axis)
        ]
        cells = torch.cat(parts, axis).repeat_interleave(window, axis)
        maps = cells.narrow(axis, 0, maps.shape[axis])
    return maps


@dataclass(frozen=True)
class EigenCAM(CamMethod):
    """Eigen-CAM: projection of A (Z x K) on its first right singular vector; knows no class.

    Muhammad and Yeasin 2020 (IJCNN), uncentred.
    """

    name: ClassVar[str] = "eigencam"
    title: ClassVar[str] = "Eigen-CAM"
    reference: ClassVar[str] = "Muhammad and Yeasin 2020, IJCNN"
    summary: ClassVar[str] = "main component of the activations, whatever the class"
    needs: ClassVar[frozenset[str]] = frozenset({"activations"})

    def raw(self, evidence: Evidence) -> Tensor:
        """Return A v, v the first right singular vector."""
        return principal_projection(evidence.activations)


@dataclass(frozen=True)
class EigenGradCAM(CamMethod):
    """EigenGrad-CAM: projection of G * A (Z x K) on its first right singular vector.

    Gildenblat 2021 (pytorch-grad-cam), here uncentred and with a fixed sign.
    """

    name: ClassVar[str] = "eigengradcam"
    title: ClassVar[str] = "EigenGrad-CAM"
    reference: ClassVar[str] = "Gildenblat 2021, pytorch-grad-cam"
    summary: ClassVar[str] = "main component of gradient times activation"

    def raw(self, evidence: Evidence) -> Tensor:
        """Return (G * A) v, v the first right singular vector."""
        return principal_projection(gradients_of(evidence) * evidence.activations)


def principal_projection(maps: Tensor) -> Tensor:
    """Project maps (n, k, *f), each a Z x K matrix, on their first right singular vector: (n, *f).

    The vector comes from the smaller Gram matrix (K x K or Z x Z), never from a full SVD. Its sign
    is the one in which the projection correlates (uncentred) with the mean over channels; a
    centred correlation can turn a non-negative map over.
    """
    home = maps.cpu() if maps.device.type == "mps" else maps  # MPS has no float64
    matrix = home.flatten(2).transpose(1, 2).double()  # (n, Z, K)
    # The decomposition refuses what is not finite, and with it all other images of the batch.
    finite = matrix.isfinite().all(dim=2).all(dim=1)
    matrix = torch.where(finite[:, None, None], matrix, 0.0)
    # Squares of very small activations must not underflow, and only directions matter here.
    scale = matrix.abs().amax(dim=(1, 2), keepdim=True)
    matrix = matrix / torch.where(scale > 0, scale, 1.0)
    places, channels = matrix.shape[1:]
    if channels <= places:
        direction = torch.linalg.eigh(matrix.transpose(1, 2) @ matrix).eigenvectors[:, :, -1:]
        projection = (matrix @ direction)[:, :, 0]
    else:
        values, vectors = torch.linalg.eigh(matrix @ matrix.transpose(1, 2))
        projection = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
    agreement = (projection * matrix.mean(2)).sum(1, keepdim=True)
    projection = torch.where(agreement < 0, -projection, projection) * scale[:, :, 0]
    projection = torch.where(finite[:, None], projection, torch.nan)
    return projection.reshape(maps.shape[0], *maps.shape[2:]).to(maps)
