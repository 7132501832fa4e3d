"""FullGrad: the gradients at the input and at every bias, as one map of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from napari_cam.cams.methods.base import CamMethod, Evidence, Space, probe_of
from napari_cam.cams.methods.full_gradients import FullGradients, full_gradients
from napari_cam.cams.network.chunks import in_chunks
from napari_cam.errors import MethodError

# Images per pass; their whole graph is kept while they are differentiated.
_CHUNK = 4


@dataclass(frozen=True)
class FullGrad(CamMethod):
    """FullGrad: psi(x dy/dx) + sum over biases and channels of psi(b dy/db).

    Srinivas and Fleuret 2019 (arXiv:1905.00780). psi takes magnitudes, stretches them to [0, 1]
    over all channels of an image together and enlarges them to the input's size. Biases are those
    of convolutions and the implicit ones of norms and smooth activations; biases without places
    (linear layers) take part in the completeness check alone: the terms, before psi, must add up
    to the score within 1 %.
    """

    name: ClassVar[str] = "fullgrad"
    title: ClassVar[str] = "FullGrad"
    reference: ClassVar[str] = "Srinivas and Fleuret 2019, arXiv:1905.00780"
    summary: ClassVar[str] = "gradients at the input and at every bias of the network"
    needs: ClassVar[frozenset[str]] = frozenset({"rescoring"})
    reads_modules: ClassVar[bool] = True
    space: ClassVar[Space] = "input"

    def raw(self, evidence: Evidence) -> Tensor:
        """Return psi(x dy/dx) + sum psi(b dy/db)."""
        probe = probe_of(evidence)
        batch = probe.batch
        maps = evidence.activations.new_zeros((len(batch), *batch.shape[2:]))

        def fill(numbers: Tensor) -> None:
            found = full_gradients(probe, numbers)
            check_completeness(found)
            maps[numbers] = found.map.to(maps.dtype)

        in_chunks(fill, len(batch), _CHUNK, batch.device)
        return maps


def check_completeness(found: FullGradients) -> None:
    """Refuse a decomposition whose terms do not add up to the score.

    Raises
    ------
    MethodError
        Where they miss it by more than 1 %; names the operations at fault.
    """
    if found.complete:
        return
    share = float((found.error / found.score.abs()).nan_to_num(posinf=float("inf")).max())
    names = ", ".join(f"'{name}'" for name in found.uncovered)
    cause = f"it holds {names}" if names else "it holds something that is no torch function"
    raise MethodError(
        f"FullGrad's terms miss the score of this network by {100 * share:.3g} %: {cause}, whose "
        "implicit bias is not known; choose another method."
    )
