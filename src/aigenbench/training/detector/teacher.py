"""The detector of an earlier window, as it ended, beside the one that trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call

from aigenbench.training.detector.terms import Earlier

if TYPE_CHECKING:
    from aigenbench.training.detector.base import BaseDeepfakeDetectionModel


class Teacher:
    """The same detector under other weights, in eval mode and without gradients; a frozen backbone is not held twice.

    It is no part of the detector: neither its optimizer nor its checkpoints see it.

    Args:
        weights: the detector's state dict of then.
        seen: ids of the classes it was trained on, 0 among them.
    """

    def __init__(self, weights: Mapping[str, Tensor], seen: tuple[int, ...]) -> None:
        self._weights, self._seen = dict(weights), seen

    def __call__(self, detector: BaseDeepfakeDetectionModel, images: Tensor, with_features: bool) -> Earlier:
        """What it says of a batch's images, or of their stored features."""
        if any(tensor.device != detector.device for tensor in self._weights.values()):
            self._weights = {name: tensor.to(detector.device) for name, tensor in self._weights.items()}
        trained = [module for module in detector.modules() if module.training]
        detector.eval()
        try:
            with torch.no_grad():
                outputs, features = self._called(detector, images, with_features)
        finally:
            for module in trained:
                module.training = True
        return Earlier(outputs, features, self._seen)

    def _called(self, detector: BaseDeepfakeDetectionModel, images: Tensor, with_features: bool) -> Any:
        if not with_features:
            return functional_call(detector, self._weights, (images,)), None
        weights = {k.removeprefix("model."): v for k, v in self._weights.items() if k.startswith("model.")}
        given = (detector.normalise(images),)
        return functional_call(detector.model, weights, given, {"with_features": True})
