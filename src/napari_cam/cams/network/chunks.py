"""Many runs of a network, a few at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch

from napari_cam.models.device import is_out_of_memory, release_memory


def in_chunks(
    run: Callable[[torch.Tensor], None], count: int, size: int, device: torch.device
) -> int:
    """Call ``run(numbers)`` for the numbers 0 to `count` - 1, `size` of them at a time.

    Returns the size that fitted in the end.

    Where memory runs out, the chunk is halved and asked for again: `run` keeps nothing of a chunk
    before it has all of it.
    """
    start = 0
    while start < count:
        stop = min(start + size, count)
        try:
            run(torch.arange(start, stop, device=device))
        except (RuntimeError, MemoryError) as error:
            if stop - start == 1 or not is_out_of_memory(error):
                raise
            size = (stop - start) // 2
        else:
            start = stop
            continue
        # Outside the handler, whose traceback would keep the failed chunk alive.
        release_memory(device)
    return size
