"""The training loop of all networks: AdamW, one warm-up and one cosine descent."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_cam import checks
from napari_cam.errors import TrainingError
from napari_cam.learning.data.augmentation import Augmentation
from napari_cam.learning.data.examples import Examples
from napari_cam.learning.training.losses import LOSSES

# Share of all steps in which the learning rate rises from zero.
_WARM_UP = 0.1


@dataclass(frozen=True)
class Settings:
    """How to train; see :func:`napari_cam.train` for each, `loss` is a name of ``LOSSES``."""

    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float
    patience: int | None
    class_weights: tuple[float, ...] | None
    augmentation: Augmentation
    seed: int
    loss: str = "cross-entropy"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) is not None:
                checks.whole(getattr(self, name), name, TrainingError, least=1)
        checks.number(self.learning_rate, "learning_rate", TrainingError, above=0)
        checks.number(self.weight_decay, "weight_decay", TrainingError, least=0)

    def weights_on(self, device: torch.device) -> Tensor | None:
        """Return the class weights as a tensor."""
        if self.class_weights is None:
            return None
        return torch.tensor(self.class_weights, device=device)


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave.

    Attributes
    ----------
    number, of
        Which epoch, counted from 1, of how many at most.
    training_loss
        Mean over the epoch, of a network that changed meanwhile.
    validation_loss, validation_accuracy
        After the epoch, the accuracy over images (over pixels, where those are labelled); None
        without validation images.
    is_best
        Whether the weights of this epoch are the best so far (the latest, without validation).
    """

    number: int
    of: int
    training_loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    is_best: bool


Progress = Callable[[Epoch], None]


def fit(
    module: nn.Module,
    training: Examples,
    validation: Examples | None,
    settings: Settings,
    device: torch.device,
    progress: Progress | None = None,
) -> list[Epoch]:
    """Train `module` in place on `device`; it ends with its best weights, in eval mode.

    Raises
    ------
    TrainingError
        Where the loss is not a finite number.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    descent = _Descent.of(module, settings, steps=math.ceil(len(training) / settings.batch_size))
    weights = settings.weights_on(device)
    history: list[Epoch] = []
    best_loss, best_weights, since_best = math.inf, None, 0
    for number in range(1, settings.epochs + 1):
        training_loss = 0.0
        module.train()
        for chosen in torch.randperm(len(training), generator=generator).tensor_split(
            descent.steps
        ):
            images, labels = settings.augmentation.apply_with_labels(
                training.images[chosen].to(device), training.labels[chosen].to(device), generator
            )
            loss = LOSSES[settings.loss](module(images), labels, weights)
            training_loss += _finite(loss, number) * len(chosen) / len(training)
            descent.step(loss)
        loss_now, accuracy = None, None
        if validation is not None:
            loss_now, accuracy = _validate(module, validation, settings, device)
        # Without validation nothing says that an earlier network was better.
        is_best = loss_now is None or loss_now < best_loss
        if loss_now is not None and is_best:
            best_loss, best_weights = loss_now, copy.deepcopy(module.state_dict())
        since_best = 0 if is_best else since_best + 1
        history.append(Epoch(number, settings.epochs, training_loss, loss_now, accuracy, is_best))
        if progress is not None:
            progress(history[-1])
        if settings.patience is not None and since_best >= settings.patience:
            break
    if best_weights is not None:
        module.load_state_dict(best_weights)
    elif validation is not None:
        raise TrainingError(
            "The validation loss was never a finite number; lower the learning rate or scale the "
            "intensities in the preparation."
        )
    module.eval()
    return history


@dataclass(frozen=True, eq=False)
class _Descent:
    """The optimiser, with a learning rate that changes at every step."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    steps: int

    @classmethod
    def of(cls, module: nn.Module, settings: Settings, steps: int) -> _Descent:
        optimizer = torch.optim.AdamW(
            module.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        rates = _rates(steps * settings.epochs)
        return cls(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rates), steps)

    def step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.schedule.step()


def logits_of(module: nn.Module, images: Tensor, batch_size: int, device: torch.device) -> Tensor:
    """Return the logits (n, classes) or (n, classes, *s), on the CPU, of a network in eval mode."""
    module.eval()
    with torch.inference_mode():
        parts = torch.split(images, batch_size)
        return torch.cat([module(part.to(device)).cpu() for part in parts])


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's random numbers on the CPU and on `device`, and put them back as they were."""
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _rates(steps: int) -> Callable[[int], float]:
    warm = max(1, int(_WARM_UP * steps))

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / max(1, steps - warm))

    return rate


def _finite(loss: Tensor, epoch: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(
            f"The loss of epoch {epoch} is not a finite number; lower the learning rate, or give "
            "the preparation a step that scales the intensities."
        )
    return value


def _validate(
    module: nn.Module, validation: Examples, settings: Settings, device: torch.device
) -> tuple[float, float]:
    """Return the loss (infinite where it is not a number) and the accuracy."""
    logits = logits_of(module, validation.images, settings.batch_size, device)
    weights = settings.weights_on(torch.device("cpu"))
    loss = LOSSES[settings.loss](logits, validation.labels, weights).item()
    accuracy = (logits.argmax(dim=1) == validation.labels).float().mean().item()
    return loss if math.isfinite(loss) else math.inf, accuracy
