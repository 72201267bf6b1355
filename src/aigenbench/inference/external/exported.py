"""A folder that ``aigenbench export`` wrote."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from aigenbench.augmentations import EvaluationCrops
from aigenbench.data.pictures.decode import Pixels
from aigenbench.files import file_sha256
from aigenbench.inference.artefact import DETECTOR_FILE
from aigenbench.inference.detector import Detector
from aigenbench.inference.external.scorer import Scored, Scorer
from aigenbench.protocol.knowledge import Knowledge


class ExportedScorer(Scorer):
    """An exported detector, with its own cropping, normalisation and fusion.

    Args:
        folder: where it lies.

    Raises:
        InputError: see ``Detector.load``.
    """

    def __init__(self, folder: Path) -> None:
        self._detector = Detector.load(folder, "cpu")
        info = self._detector.info
        super().__init__(
            name=folder.resolve().name,
            place=folder,
            sha256=file_sha256(folder / DETECTOR_FILE),
            identity={"kind": "exported"},
            prepare=partial(_crops, self._detector.cropping),
            knowledge=Knowledge(trained_on=info.generators) if info.generators else None,
        )
        self.off_protocol = info.off_protocol

    def on(self, device: torch.device) -> ExportedScorer:
        """See ``Scorer.on``."""
        if device == self._detector.device:
            return self
        other = copy.copy(self)
        other._detector = Detector.load(Path(self.place), str(device))
        return other

    def score(self, prepared: list[torch.Tensor]) -> Scored:
        """See ``Scorer.score``."""
        crops = np.array([len(one) for one in prepared], dtype=np.int64)
        same = len({tuple(one.shape[1:]) for one in prepared}) == 1
        logits = self._logits(torch.cat(prepared)) if same else np.concatenate([self._logits(one) for one in prepared])
        fused = self._detector.info.fusion(logits, np.repeat(np.arange(len(crops)), crops))
        return Scored(fused, logits, crops)

    def _logits(self, crops: torch.Tensor) -> np.ndarray:
        detector = self._detector
        return detector.crop_logits(detector.network.normalised(crops.to(detector.device)))


def _crops(cropping: EvaluationCrops, pictures: Sequence[Pixels]) -> list[torch.Tensor]:
    """The uint8 crops of each picture, (k, 3, h, w)."""
    return [torch.from_numpy(np.stack(cropping(picture))).permute(0, 3, 1, 2) for picture in pictures]
