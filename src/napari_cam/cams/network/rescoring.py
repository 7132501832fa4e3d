"""The network asked again: scores of changed inputs and of changed activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from napari_cam.cams.network.chunks import in_chunks
from napari_cam.cams.network.replay import Replay, find_replay
from napari_cam.cams.network.tap import Tapped, run_again, tap
from napari_cam.cams.targets.scores import Scored
from napari_cam.errors import ModelError
from napari_cam.models.device import is_out_of_memory
from napari_cam.models.hooks import LayerRef

Make = Callable[[Tensor], Tensor]
"""Takes the numbers (m,) of the variants wanted next and returns them, (m, c, *s) or (m, k, *f)."""

Read = Callable[[Tensor, Tensor], Tensor]
"""Takes the network's output (m, ...) and which images its rows belong to; returns (m,)."""

# Bytes of variants that run at once: beyond these a CPU's caches overflow and rows get slower; a
# GPU is busy by then.
_INPUT_BYTES = {"cpu": 2**22, "cuda": 2**27}
_HEAD_BYTES = {"cpu": 2**24, "cuda": 2**28}
_MOST_ROWS = 256


@dataclass(frozen=True, eq=False)
class Rescorer:
    """Runs the network on variants of an image and reads the score that is being explained.

    Class and pixel set are those of the unchanged images, and a score over a set of pixels is
    their mean. Variants come in chunks of a size that suits their bytes and the device; when
    memory runs out, chunks halve, and the error passes on where one variant alone is too large.

    Attributes
    ----------
    module
        The network.
    batch
        (n, c, *s) the images that are explained, as the network takes them.
    layer
        Target layer, or `INPUT`.
    activations
        A (n, k, *f) of that layer, for these images.
    scored
        What the target read from the unchanged images.
    faster
        A network that gives the same output faster, without layers that could be met; used where
        only inputs change.
    """

    module: nn.Module = field(repr=False)
    batch: Tensor = field(repr=False)
    layer: LayerRef
    activations: Tensor = field(repr=False)
    scored: Scored = field(repr=False)
    autocast: torch.dtype | None = None
    faster: nn.Module | None = field(default=None, repr=False)
    _replays: dict[int, Replay | None] = field(default_factory=dict, repr=False)
    _limit: dict[str, int] = field(default_factory=dict, repr=False)

    def score_inputs(self, make: Make, count: int, image: int, read: Read | None = None) -> Tensor:
        """Return the scores (count,) of `count` variants of an image.

        Parameters
        ----------
        make
            Gives the variants (m, c, *s) whose numbers (m,) it is called with. They are done with
            before it is called again, so it may fill the same memory each time.
        image
            Which image of the batch they are variants of.
        read
            Reads another score from the network's output than the one that is explained.
        """
        return self._in_chunks(
            lambda numbers: self._run_inputs(make(numbers)), count, image, self._input_rows(), read
        )

    def _run_inputs(self, images: Tensor) -> Tensor:
        network = self.module if self.faster is None else self.faster
        # Convolutions on CPUs are faster where a pixel's channels lie side by side. Nothing but
        # `view` in a network notices, and then it fails.
        if images.ndim == 4 and images.device.type == "cpu" and "plain layout" not in self._limit:
            side_by_side = images.contiguous(memory_format=torch.channels_last)
            try:
                return run_again(network, side_by_side, autocast=self.autocast)
            except ModelError:
                self._limit["plain layout"] = 1
        return run_again(network, images, autocast=self.autocast)

    def score_activations(
        self, make: Make, count: int, image: int, read: Read | None = None
    ) -> Tensor:
        """Return the scores (count,) of an image with variants (m, k, *f) of its activations.

        Where the network permits it, only what lies downstream of the layer runs; see
        :mod:`napari_cam.cams.network.replay`. The parameters are those of :meth:`score_inputs`.
        """
        replay = self._replay(image)
        if replay is not None:
            scores = self._replayed(replay, make, count, image, read)
            if scores is not None:
                return scores
            self._replays[image] = None
        one = self.batch[image : image + 1]

        def run(numbers: Tensor) -> Tensor:
            same = one.expand(len(numbers), *one.shape[1:])
            return run_again(self.module, same, self.layer, make(numbers), self.autocast)

        return self._in_chunks(run, count, image, self._input_rows(), read)

    def tapped(self, images: Tensor) -> Tapped:
        """Return the forward pass of other images (m, c, *s) with the target layer laid open."""
        return tap(self.module, images, [self.layer], self.autocast)

    def _replay(self, image: int) -> Replay | None:
        if image not in self._replays:
            self._replays.clear()  # one image's tensors at a time
            one = self.batch[image : image + 1]
            try:
                self._replays[image] = find_replay(self.module, one, self.layer, self.autocast)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._replays[image] = None
        return self._replays[image]

    def _replayed(
        self, replay: Replay, make: Make, count: int, image: int, read: Read | None
    ) -> Tensor | None:
        def run(numbers: Tensor) -> Tensor:
            output = replay.run(make(numbers))
            if output is None:
                raise _ReplayFailed
            return output

        rows = _HEAD_BYTES.get(self.batch.device.type, 2**26) // replay.row_bytes
        try:
            return self._in_chunks(run, count, image, rows, read)
        except _ReplayFailed:
            return None

    def _input_rows(self) -> int:
        one = self.batch[0]
        most = _INPUT_BYTES.get(self.batch.device.type, 2**25)
        return most // (one.numel() * one.element_size())

    def _in_chunks(self, run: Make, count: int, image: int, rows: int, read: Read | None) -> Tensor:
        read = self.scored.again if read is None else read
        scores: list[Tensor] = [self.scored.scores.new_zeros(0)]

        def ask(numbers: Tensor) -> None:
            scores.append(read(run(numbers), torch.full_like(numbers, image)))

        size = min(max(1, rows), _MOST_ROWS, self._limit.get("rows", _MOST_ROWS))
        fitted = in_chunks(ask, count, size, self.batch.device)
        if fitted < size:
            self._limit["rows"] = fitted
        return torch.cat(scores)


class _ReplayFailed(Exception):
    """The part downstream of the layer cannot run alone after all."""
