"""A picture under all detectors, as plain values: what ``POST /api/detect`` says of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import cv2
import torch

from aigenbench.data.pictures.decode import Pixels, UnreadableImageError, decode
from aigenbench.evaluation.metrics.mistakes import data_url
from aigenbench.inference.detector import Detector
from aigenbench.inference.formats.runtimes import runtime as runtime_named
from aigenbench.inference.looking.explain import heat, overlay
from aigenbench.inference.looking.metadata import read as read_metadata
from aigenbench.inference.looking.stability import When, is_wanted, tried

THUMBNAIL = 320
"""Pixels along the longer side of the copy that is shown."""
LONGEST_NAME = 200
SAID = ("error", "score", "logit", "probability", "verdict", "crop_logits", "stability", "map")
"""What is said of each detector."""


class Looker:
    """All detectors of a worker.

    Args:
        folders: of exported detectors.
        device: as of `Detector.load`.
        batch_size: likewise.
        workers: processes like this one, which share the processors.
        runtime: what computes; see ``inference.formats.runtimes``.

    Attributes:
        described: what ``GET /api/detectors`` says.

    Raises:
        InputError: a detector cannot be loaded.
    """

    def __init__(
        self, folders: Sequence[str], device: str, batch_size: int, workers: int, runtime: str = "torch"
    ) -> None:
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))
        cv2.setNumThreads(1)
        self._detectors: dict[str, Detector] = {}
        for folder in folders:
            detector = Detector.load(folder, device, batch_size, runtime=runtime_named(runtime))
            self._detectors[_free_name(detector.info.name, self._detectors)] = detector
        self.described = [_described(name, detector) for name, detector in self._detectors.items()]

    @property
    def on_cpu(self) -> bool:
        """Whether all of them compute on the processor."""
        return all(detector.device.type == "cpu" for detector in self._detectors.values())

    def look(self, data: bytes, detectors: Sequence[str], with_map: bool, stability: When) -> dict[str, Any]:
        """What there is to say of a picture file.

        Args:
            data: the file's bytes.
            detectors: ids of those that are asked.
            with_map: also which regions drove each score.
            stability: when it is tried how far the answer moves: ``band`` (where it is unsure), ``all`` or ``off``.
        """
        try:
            pixels = decode(data)
        except UnreadableImageError as error:
            return {"error": f"cannot be read: {error}"}
        return {
            "error": None,
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "thumbnail": _thumbnail(pixels),
            "metadata": [fact.to_dict() for fact in read_metadata(data)],
            "detectors": [
                {"id": name, **_said(self._detectors[name], pixels, with_map, stability)} for name in detectors
            ],
        }


def _said(detector: Detector, pixels: Pixels, with_map: bool, when: When) -> dict[str, Any]:
    (answer,) = detector.answers([pixels])
    if answer.verdict is None:
        return {**dict.fromkeys(SAID), "error": answer.error, "crop_logits": []}
    return {
        "error": None,
        "score": answer.score,
        "logit": answer.logit,
        "probability": answer.probability,
        "verdict": vars(answer.verdict),
        "crop_logits": answer.crop_logits,
        "stability": tried(detector, pixels).to_dict() if is_wanted(when, answer.verdict) else None,
        "map": _map(detector, pixels) if with_map else None,
    }


def _map(detector: Detector, pixels: Pixels) -> dict[str, Any]:
    found = heat(detector, pixels)
    buffer = io.BytesIO()
    overlay(pixels, found).save(buffer, "PNG")
    return {**found.to_dict(), "image": data_url("png", buffer.getvalue())}


def _thumbnail(pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, file = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data_url("jpeg", file.tobytes())


def _free_name(name: str, taken: dict[str, Detector]) -> str:
    """The detector's name, with a number where another has it already."""
    name = name[:LONGEST_NAME]
    return next(one for i in range(len(taken) + 1) if (one := f"{name}-{i + 1}" if i else name) not in taken)


def _described(name: str, detector: Detector) -> dict[str, Any]:
    info, point = detector.info, detector.point
    return {
        "id": name,
        "name": info.name,
        "generators": list(info.generators),
        "knows_until": None if info.knows_until is None else info.knows_until.isoformat(),
        "licence": info.licence,
        "stands_on": info.stands_on,
        "input_size": list(detector.input_size),
        "cropping": info.cropping.strategy,
        "band": {
            "logits": [point.low, point.high],
            "probabilities": info.calibration.probability([point.low, point.high]).tolist(),
        },
        "point": point.to_record(),
        "scores": {period: dict(score) for period, score in info.scores.items()},
    }
