"""What a detector of any kind is to whoever scores images with it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aigenbench.data.pictures.decode import Pixels
from aigenbench.protocol.knowledge import Knowledge


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of images, in order.

    Attributes:
        logits: of being fake, one an image; float64 (n,).
        crop_logits: of each image's crops, those of an image together; float64 (m,).
        crops: how many crops each image has; int64 (n,).
    """

    logits: NDArray[np.float64]
    crop_logits: NDArray[np.float64]
    crops: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.logits)

    @staticmethod
    def of_images(logits: NDArray[np.float64]) -> Scored:
        """Of images that were each seen once."""
        return Scored(logits, logits, np.ones(len(logits), dtype=np.int64))

    @staticmethod
    def joined(parts: Sequence[Scored]) -> Scored:
        """Several, one after the other."""
        return Scored(
            *(np.concatenate([getattr(p, name) for p in parts]) for name in ("logits", "crop_logits", "crops"))
        )


class UnscoredError(Exception):
    """An image has no score: its position in the batch, and why."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position, self.reason = position, reason


Prepare = Callable[[Sequence[Pixels]], Any]
"""From uint8 pictures (h, w, 3) in RGB to what a scorer takes; runs in the loader's workers."""


class Scorer(ABC):
    """A detector that scores images.

    Attributes:
        name: what its results are called.
        place: where it came from: a file, a folder, or a function's name.
        sha256: of what it is made of, as far as files are.
        identity: plain values by which the same detector is known again.
        prepare: see ``Prepare``.
        knowledge: what it says of its own training; None where it says nothing.
        off_protocol: why it says that its training is off protocol.
    """

    off_protocol: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        place: Path | str,
        sha256: str,
        identity: Mapping[str, Any],
        prepare: Prepare,
        knowledge: Knowledge | None = None,
    ) -> None:
        self.name, self.place, self.sha256 = name, str(place), sha256
        self.identity = {"sha256": sha256, **identity}
        self.prepare, self.knowledge = prepare, knowledge

    @abstractmethod
    def score(self, prepared: Any) -> Scored:
        """The scores of a batch that ``prepare`` gave.

        Raises:
            UnscoredError: an image has none.
        """

    def on(self, device: torch.device) -> Scorer:
        """A copy of it that computes there."""
        return self


class NetworkScorer(Scorer):
    """A network whose outputs are classes, some of which stand for fake.

    Args:
        network: gives outputs (n, classes) of what ``prepare`` gives, a tensor or a mapping of them.
        fake: which of the classes stand for fake.
        scorer: arguments of ``Scorer``.
    """

    def __init__(self, network: nn.Module, fake: Sequence[int], **scorer: Any) -> None:
        super().__init__(**scorer)
        self._network, self._fake = network.requires_grad_(False).eval(), list(fake)
        self._device = torch.device("cpu")

    def on(self, device: torch.device) -> NetworkScorer:
        """See ``Scorer.on``."""
        if device == self._device:
            return self
        other = copy.copy(self)
        other._network = copy.deepcopy(self._network).to(device)
        other._device = device
        return other

    def score(self, prepared: Any) -> Scored:
        """See ``Scorer.score``."""
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            if isinstance(prepared, Mapping):
                outputs = self._network(**{name: one.to(self._device) for name, one in prepared.items()})
            else:
                outputs = self._network(prepared.to(self._device))
            outputs = getattr(outputs, "logits", outputs).double().cpu()
        return Scored.of_images(fake_logits(outputs, self._fake).numpy())


def fake_logits(outputs: torch.Tensor, fake: Sequence[int]) -> torch.Tensor:
    """log(p / (1 - p)) of the probability of the classes ``fake`` after a softmax, (n,); of one output, that output.

    Args:
        outputs: (n, classes).
        fake: some of the classes, not all of them but where there is one alone.
    """
    if outputs.shape[1] == 1:
        return outputs[:, 0]
    real = [i for i in range(outputs.shape[1]) if i not in fake]
    return outputs[:, list(fake)].logsumexp(1) - outputs[:, real].logsumexp(1)
