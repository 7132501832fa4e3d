"""What training makes small, for labels of images and of pixels."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def soft_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean soft Dice of all classes but class 0 over the pixels of a batch.

    As the loss of nnU-Net counts it (Isensee et al. 2021, Nat Methods 18:203): for class c, with u
    the softmax and v the one-hot label, 2 sum(u v) / (sum u + sum v) over all pixels of all images.

    Parameters
    ----------
    logits
        (n, classes, *s).
    labels
        (n, *s) int64.
    """
    n_classes = logits.shape[1]
    shares = logits.softmax(dim=1).movedim(1, -1).reshape(-1, n_classes)
    truth = functional.one_hot(labels.flatten(), n_classes).to(shares)
    both, sizes = (shares * truth).sum(0), shares.sum(0) + truth.sum(0)
    # A class that is neither there nor expected leaves nothing to improve.
    return ((2 * both + 1) / (sizes + 1))[1:].mean()


def dice_and_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """Return cross-entropy + 1 - :func:`soft_dice`."""
    return functional.cross_entropy(logits, labels, weights) + 1 - soft_dice(logits, labels)


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean cross-entropy, weighted by class."""
    return functional.cross_entropy(logits, labels, weights)


LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "Dice + cross-entropy": dice_and_cross_entropy,
}
"""Name -> loss of logits, labels and class weights."""
