"""An exported detector, loaded: scores and verdicts on pictures, with PyTorch alone."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aigenbench.data.pictures.decode import Pixels, UnreadableImageError, decode
from aigenbench.data.pictures.given import Picture, check_kind, file_of, name_of, several
from aigenbench.data.samples.collation import stack
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.evaluation.statistics.operating import OperatingPoint
from aigenbench.files import user_path
from aigenbench.inference.artefact import Info, check_files, read_info
from aigenbench.inference.network import Network, load_network
from aigenbench.inference.verdicts import Verdict, verdict
from aigenbench.models.preprocessing import normalised


@dataclass(frozen=True)
class Answer:
    """What a detector says of one picture.

    Attributes:
        name: its path, or its place among those given.
        error: why it could not be scored, in one line; all that follows is None or empty then.
        size: (height, width) as it is shown, in pixels.
        logit: log(p / (1 - p)) of the fused probability of being generated.
        score: that probability, as ``validate`` gives it: uncalibrated.
        crop_logits: of its crops.
        probability: calibrated on the Past period.
        verdict: in words.
    """

    name: str
    error: str | None = None
    size: tuple[int, int] | None = None
    logit: float | None = None
    score: float | None = None
    crop_logits: tuple[float, ...] = ()
    probability: float | None = None
    verdict: Verdict | None = None


Runtime = Callable[[Path, Info], Network]
"""Gives what computes, of a detector's folder and what it says."""


class _Read(NamedTuple):
    """A picture that was read: its uint8 crops, or why it cannot be."""

    name: str
    error: str | None
    size: tuple[int, int] | None
    crops: list[Pixels]


class Detector:
    """An exported detector: scores pictures as its evaluation did, without the benchmark's degradations.

    Made by ``load``.

    Attributes:
        path: its folder.
        info: what its ``detector.json`` says.
        network: normalisation and model, on ``device``.
        device: where it computes.
        point: the operating point that verdicts are given at.
        cropping: from a picture to its crops.
    """

    def __init__(
        self, path: Path, info: Info, network: Network, device: torch.device, batch_size: int, num_workers: int
    ) -> None:
        self.path, self.info, self.device = path, info, device
        self.network = network.to(device)
        self.point: OperatingPoint = info.points[0]
        self._batch_size, self._num_workers = batch_size, num_workers
        self.cropping, self._fusion = info.cropping, info.fusion

    def __repr__(self) -> str:
        return f"<Detector {self.path}>"

    @classmethod
    def load(
        cls,
        folder: Path | str,
        device: str = "auto",
        batch_size: int = 16,
        num_workers: int = 0,
        fpr: float | None = None,
        backbone_weights: Path | str | None = None,
        runtime: Runtime | None = None,
    ) -> Detector:
        """Load what ``aigenbench export`` wrote, after every file's hash was looked at.

        Args:
            folder: of the detector.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            batch_size: pictures at a time.
            num_workers: threads that read pictures ahead; with 0 they are read in between.
            fpr: the operating point that verdicts are given at, by its false positive rate; None takes the strictest.
            backbone_weights: the file of a backbone that the folder names by reference; None takes the fetched one.
            runtime: what computes in place of PyTorch; see ``inference.formats.runtimes``.

        Raises:
            InputError: a file is missing, is another than was exported or would run code; the layout is of a newer
                version; the model is not known here; or there is no such device.
        """
        if batch_size < 1 or num_workers < 0:
            raise InputError(
                f"expected a batch_size of at least 1 and no negative num_workers, found {batch_size} and {num_workers}"
            )
        path = user_path(folder)
        info = read_info(path)
        chosen = device_named(device)
        check_files(path, info)
        weights = None if backbone_weights is None else user_path(backbone_weights)
        network = load_network(path, info, weights) if runtime is None else runtime(path, info)
        detector = cls(path, info, network, chosen, batch_size, num_workers)
        if fpr is not None:
            detector.point = info.point(fpr)
        return detector

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of what the model is given, in pixels."""
        return self.info.preprocessing.input_size

    def predict(self, images: Picture | Iterable[Picture]) -> NDArray[np.float64]:
        """Probabilities of being generated, not calibrated: ``score`` of ``validate``.

        Args:
            images: one or several: paths, bytes of files, arrays (uint8 (h, w, 3) in RGB, or (h, w) in grey; of one
                size also (n, h, w, 3)), or PIL images.

        Returns:
            float64 (n,), in the images' order, each 0 (real) to 1 (generated).

        Raises:
            InputError: a picture cannot be read or is none of these; the message says which.
        """
        return sigmoid(self.logits(images))

    def logits(self, images: Picture | Iterable[Picture]) -> NDArray[np.float64]:
        """Fused logits of being generated, float64 (n,); arguments and errors as of ``predict``."""
        logits = []
        for answer in self.answers(several(images)):
            if answer.error is not None:
                raise InputError(f"{answer.name}: {answer.error}")
            logits.append(answer.logit)
        return np.array(logits, dtype=np.float64)

    def answers(self, images: Iterable[Picture], names: Iterable[str] | None = None) -> Iterator[Answer]:
        """What there is to say of each picture, in order; one that cannot be read is an answer with an error.

        Args:
            images: as of ``predict``; drawn as they are needed.
            names: what to call them, as many; None takes their paths, or their places.

        Raises:
            InputError: one is no picture of any kind that is taken.
        """
        given = enumerate(images) if names is None else zip(names, images, strict=True)
        tasks = ((name_of(image, key) if isinstance(key, int) else key, key, image) for key, image in given)
        read = self._read_all(tasks)
        while batch := list(islice(read, self._batch_size)):
            yield from self._answered(batch)

    def crops(self, image: Picture) -> Tensor:
        """What the model is given of one picture: float32 (k, 3, h, w), normalised, on the CPU.

        Raises:
            InputError: it cannot be read.
        """
        check_kind(image, 0)
        read = self._read(name_of(image, 0), image)
        if read.error is not None:
            raise InputError(f"{read.name}: {read.error}")
        mean, std = self.network.pixel_mean.cpu(), self.network.pixel_std.cpu()
        return normalised(_stacked(read.crops), mean, std)

    def crop_logits(self, batch: Tensor) -> NDArray[np.float64]:
        """Logits of being generated, float64 (k,), of what ``crops`` gives."""
        with torch.inference_mode(), _exact():
            return self.network(batch.to(self.device)).cpu().numpy().astype(np.float64)

    def verdict(self, logit: float) -> Verdict:
        """The verdict on a picture of this logit, at the detector's operating point."""
        return verdict(logit, self.point)

    def _read_all(self, tasks: Iterable[tuple[str, Any, Any]]) -> Iterator[_Read]:
        """Pictures in order, read by threads a batch ahead of where they are asked for."""
        if not self._num_workers:
            for name, key, image in tasks:
                check_kind(image, key)
                yield self._read(name, image)
            return
        waiting: deque[Future[_Read]] = deque()
        with ThreadPoolExecutor(self._num_workers) as pool:
            for name, key, image in tasks:
                check_kind(image, key)
                waiting.append(pool.submit(self._read, name, image))
                if len(waiting) >= self._batch_size + self._num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _read(self, name: str, image: Any) -> _Read:
        try:
            # pixels are what they are: a file made of them would give the same, in many times the time
            pixels = image if isinstance(image, np.ndarray) and image.ndim == 3 else decode(file_of(image))
        except (UnreadableImageError, OSError) as error:
            reason = " ".join((getattr(error, "strerror", None) or str(error)).split()) or type(error).__name__
            return _Read(name, f"cannot be read: {reason}", None, [])
        return _Read(name, None, pixels.shape[:2], self.cropping(pixels))

    def _answered(self, batch: list[_Read]) -> Iterator[Answer]:
        read = [one for one in batch if one.error is None]
        logits = iter(self._of_crops([one.crops for one in read]))
        for one in batch:
            yield Answer(one.name, one.error) if one.error is not None else self._answer(one, next(logits))

    def _of_crops(self, pictures: list[list[Pixels]]) -> list[NDArray[np.float64] | str]:
        """The logits of each picture's crops, or why it has none."""
        if not pictures:
            return []
        if self.cropping.strategy == "as_is":
            return [self._as_is(crops) for crops in pictures]
        logits = self._logits(_stacked([crop for crops in pictures for crop in crops]))
        return list(np.split(logits, np.cumsum([len(crops) for crops in pictures])[:-1]))

    def _as_is(self, crops: list[Pixels]) -> NDArray[np.float64] | str:
        try:
            return self._logits(_stacked(crops))
        except InputError as error:
            # a network that takes pictures as they are need not take each size
            return str(error)

    def _logits(self, crops: Tensor) -> NDArray[np.float64]:
        try:
            with torch.inference_mode(), _exact():
                images = self.network.normalised(crops.to(self.device))
                return self.network(images).cpu().numpy().astype(np.float64)
        except (RuntimeError, AssertionError, ValueError) as error:
            n, _, height, width = crops.shape
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"{self.info.name}: the model fails on {n} crops of {height} x {width} pixels ({reason}); where "
                "memory is short, give a smaller batch_size"
            ) from error

    def _answer(self, read: _Read, crop_logits: NDArray[np.float64] | str) -> Answer:
        if isinstance(crop_logits, str):
            return Answer(read.name, crop_logits)
        if not np.isfinite(crop_logits).all():
            return Answer(read.name, "its score is not a finite number")
        logit = float(self._fusion(crop_logits, np.zeros(len(crop_logits), dtype=np.int64))[0])
        return Answer(
            read.name,
            size=read.size,
            logit=logit,
            score=float(sigmoid(logit)),
            crop_logits=tuple(crop_logits.tolist()),
            probability=float(self.info.calibration.probability(logit)),
            verdict=self.verdict(logit),
        )


def device_named(name: str) -> torch.device:
    """The device of ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        InputError: it is none of these, or there is no such device here.
    """
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (":" in name and not (kind == "cuda" and number.isdecimal())):
        raise InputError(f"device: expected auto, cpu, cuda, cuda:N or mps, found {name!r}")
    cuda, mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    if kind == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if (kind == "cuda" and int(number or 0) >= cuda) or (kind == "mps" and not mps):
        raise InputError(f"device: there is no {name} here; use cpu")
    return torch.device(name)


def _stacked(crops: list[Pixels]) -> Tensor:
    """uint8 (n, 3, h, w), in the layout that evaluations have."""
    return stack(crops).permute(0, 3, 1, 2)


def _exact() -> contextlib.AbstractContextManager[Any]:
    """Convolutions in float32, not in the shorter TF32 that a GPU would take by itself."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
