"""Binary and multiclass detectors: targets, losses, and the logit that an image is fake."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from aigenbench.errors import InputError, nearest
from aigenbench.models.probe import fake_logits_of_classes

TASKS = ("binary", "multiclass")


def check_task(key: str, value: str) -> None:
    """Raise InputError unless ``value`` is a known task."""
    if value not in TASKS:
        raise InputError(f"model.{key}: unknown {value!r}; known: {', '.join(TASKS)}{nearest(value, TASKS)}")


class BinaryTask:
    """One output: the logit that an image is fake."""

    n_outputs = 1
    seen = (0, 1)
    """The classes: real and fake."""

    def losses(self, outputs: Tensor, labels: Tensor, generator_ids: Tensor) -> Tensor:
        """Binary cross-entropy of every row: float (n,), from outputs (n, 1)."""
        return F.binary_cross_entropy_with_logits(self.fake_logits(outputs), labels.to(outputs.dtype), reduction="none")

    def fake_logits(self, outputs: Tensor) -> Tensor:
        """log(p / (1 - p)) of being fake: (n,), from outputs (n, 1) or (n,)."""
        if outputs.ndim == 2 and outputs.shape[1] == 1:
            return outputs[:, 0]
        if outputs.ndim == 1:
            return outputs
        raise InputError(
            f"the model gives outputs of shape {tuple(outputs.shape)} for a binary task; expected one logit an "
            "image, (n, 1): let the model factory use its argument num_classes"
        )

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Of real and of fake: (n, 2)."""
        logits = self.fake_logits(outputs)
        return torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=1)

    def targets(self, labels: Tensor, generator_ids: Tensor) -> Tensor:
        """The true class of every row: int64 (n,)."""
        return labels

    def class_probabilities(self, outputs: Tensor) -> None:
        """A binary detector has none."""
        return

    def evaluation_losses(self, outputs: Tensor, labels: Tensor, generator_ids: Tensor) -> Tensor:
        """As in training."""
        return self.losses(outputs, labels, generator_ids)


class MulticlassTask:
    """One output a generator id; index 0 is real (protocol section 1).

    Args:
        n_classes: real and every generator of the timeline.
        seen: ids of the classes trained on so far, 0 among them; probabilities are a softmax over these.
    """

    def __init__(self, n_classes: int, seen: Sequence[int] | None = None) -> None:
        self.n_classes = n_classes
        self.seen = sorted(range(n_classes) if seen is None else {0, *seen})

    @property
    def n_outputs(self) -> int:
        """Outputs the model needs."""
        return self.n_classes

    def losses(self, outputs: Tensor, labels: Tensor, generator_ids: Tensor) -> Tensor:
        """Cross-entropy with the generator id as the class: float (n,), from outputs (n, n_classes or more)."""
        return F.cross_entropy(self._checked(outputs), generator_ids, reduction="none")

    def fake_logits(self, outputs: Tensor) -> Tensor:
        """log(p / (1 - p)), p the softmax probability of all seen fake classes together: (n,)."""
        return fake_logits_of_classes(self._checked(outputs), self.seen)

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Of every class, as training has them, those not yet seen included: (n, n_classes)."""
        return self._checked(outputs).log_softmax(dim=1)

    def targets(self, labels: Tensor, generator_ids: Tensor) -> Tensor:
        """The true class of every row: int64 (n,)."""
        return generator_ids

    def class_probabilities(self, outputs: Tensor) -> Tensor:
        """Softmax over the seen classes, 0 for the others: float32 (n, n_classes)."""
        outputs = self._checked(outputs)
        probabilities = torch.zeros_like(outputs, dtype=torch.float32)
        probabilities[:, self.seen] = outputs[:, self.seen].float().softmax(dim=1)
        return probabilities

    def evaluation_losses(self, outputs: Tensor, labels: Tensor, generator_ids: Tensor) -> Tensor:
        """Binary cross-entropy of the fake probability: defined for generators not yet seen too."""
        return F.binary_cross_entropy_with_logits(self.fake_logits(outputs), labels.to(outputs.dtype), reduction="none")

    def _checked(self, outputs: Tensor) -> Tensor:
        if outputs.ndim != 2 or outputs.shape[1] < self.n_classes:
            raise InputError(
                f"the model gives outputs of shape {tuple(outputs.shape)} for {self.n_classes} classes (real and the "
                "timeline's generators); set model.n_classes to at least that"
            )
        return outputs[:, : self.n_classes]


Task = BinaryTask | MulticlassTask
