"""A trained detector to score images with, loaded from a checkpoint or an experiment alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aigenbench.data.pictures.given import Picture, check_kind, file_of, name_of, several
from aigenbench.data.predict import PredictSet
from aigenbench.data.sources.tables import Columns, ImageTable
from aigenbench.engine.assembly.weights import device_arguments, request_of_weights
from aigenbench.engine.calling import as_a_call, folder_of
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.files import user_path
from aigenbench.inference.artefact import is_exported

if TYPE_CHECKING:
    from aigenbench.data.pipeline import AIGenBenchPipeline
    from aigenbench.engine.assembly.run import Run
    from aigenbench.inference.detector import Detector as Exported
    from aigenbench.protocol.trained import Trained
    from aigenbench.training import BaseDeepfakeDetectionModel
    from aigenbench.training.window.weights import Weights


class Detector:
    """A trained detector: scores images as its evaluation did, with the preprocessing it was trained with.

    Made by ``load``.

    Attributes:
        path: the checkpoint.
        window: index of the window it was trained up to; None where the checkpoint does not say.
        module: the Lightning module, on the CPU between predictions.
    """

    def __init__(
        self, run: Run, weights: Weights, pipeline: AIGenBenchPipeline, module: BaseDeepfakeDetectionModel
    ) -> None:
        self.path, self.window, self.module = weights.path, weights.window, module
        self._run, self._weights, self._pipeline = run, weights, pipeline

    def __repr__(self) -> str:
        return f"<Detector {self.path}>"

    @classmethod
    def load(
        cls,
        place: str | Path | Any,
        window: int | None = None,
        device: str = "auto",
        imports: Sequence[str | Path] = (),
        batch_size: int | None = None,
        num_workers: int = 0,
        trust_imports: bool = False,
        runtime: str = "torch",
    ) -> Detector | Exported:
        """Load a detector; no configuration and no data set are needed.

        Args:
            place: a checkpoint that ``fit`` left, an experiment's folder, or an ``Experiment``; or the folder of an
                exported detector, which needs no Lightning and is an `aigenbench.inference.detector.Detector`.
            window: of an experiment, the window whose last weights; None takes the last that is finished.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            imports: Python files or modules to import first: the models and classes it was made of, where they were
                not imported already.
            batch_size: images at a time; None takes what evaluations had.
            num_workers: processes that read images.
            trust_imports: import whatever its training had imported, and build whatever classes the checkpoint names:
                for one whose maker you trust.
            runtime: of an exported one, what computes: ``torch``, or ``onnx`` or ``program`` where it was exported so;
                see `aigenbench.inference.formats.runtimes.runtime`.

        Raises:
            InputError: there are no such weights; they do not say which detector they are of; or its class or model is
                not known here: the message names what its training had imported. Of an exported one, see there.
        """
        folder = folder_of(place)
        if not is_exported(folder):
            if runtime != "torch":
                raise InputError(f"runtime {runtime!r} is of an exported detector, {folder} is none: export it first")
            return cls.of_training(folder, window, device, imports, batch_size, num_workers, trust_imports)
        from aigenbench.config.imports import run_imports
        from aigenbench.inference.detector import Detector as Exported
        from aigenbench.inference.formats.runtimes import runtime as runtime_named

        if window is not None:
            raise InputError(f"window picks one of an experiment's, {folder} is one exported detector; leave it out")
        run_imports([str(one) for one in imports])
        return Exported.load(folder, device, batch_size or 16, num_workers, runtime=runtime_named(runtime))

    @classmethod
    def of_training(
        cls,
        folder: Path,
        window: int | None = None,
        device: str = "auto",
        imports: Sequence[str | Path] = (),
        batch_size: int | None = None,
        num_workers: int = 0,
        trust_imports: bool = False,
    ) -> Detector:
        """``load`` of a checkpoint or an experiment's folder, as the Lightning module that was trained."""
        with as_a_call():
            from aigenbench.config.layer import layer
            from aigenbench.training.loop.predicting import find_weights, ready_to_predict

            weights = find_weights(folder, window)
            named = [str(one) for one in imports]
            asked = request_of_weights(weights, device_arguments(device, "device"), named, trust_imports)
            data = {"num_workers": num_workers} | ({} if batch_size is None else {"eval_batch_size": batch_size})
            run = asked.over(layer("Detector.load", {"data": data})).run("predict")
            pipeline, module = ready_to_predict(run, weights)
            module.eval()
        return cls(run, weights, pipeline, module)

    @property
    def trained(self) -> Trained | None:
        """The generators it was trained on, and by which timeline; None where the checkpoint does not say."""
        return self._weights.trained

    @property
    def description(self) -> Mapping[str, Any]:
        """The sections of a configuration that make it again, as its checkpoint tells them; else empty."""
        return self._weights.record.get("description") or {}

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of what the model is given, in pixels."""
        return self.module.input_size

    def predict(self, images: Picture | Iterable[Picture]) -> npt.NDArray[np.float64]:
        """Probabilities of being fake.

        Args:
            images: one or several: paths of pictures, bytes of their files, arrays (uint8 (h, w, 3) in RGB, or (h, w)
                in grey), or PIL images. Several arrays of one size may also be one array (n, h, w, 3).

        Returns:
            float64 (n,), in the images' order, each 0 (real) to 1 (fake).

        Raises:
            InputError: an image cannot be read or is none of these, or its score is no finite number; the message says
                which.
        """
        return sigmoid(self.logits(images))

    def logits(self, images: Picture | Iterable[Picture]) -> npt.NDArray[np.float64]:
        """Logits of being fake, float64 (n,); arguments and errors as of ``predict``."""
        given = list(several(images))
        if not given:
            return np.empty(0)
        store = _Given(given)
        nothing = np.zeros(len(given), dtype=np.int32)
        table = ImageTable("predict", nothing.astype(np.uint8), nothing, ("",), store, Columns({}))
        with as_a_call():
            return self._scored(PredictSet(table, np.arange(len(given))), store)

    def _scored(self, chosen: PredictSet, store: _Given) -> npt.NDArray[np.float64]:
        from aigenbench.training.lightning.trainers import make_trainer
        from aigenbench.training.loop.predicting import predicted_logits
        from aigenbench.training.window.evaluating import check_finite

        arguments = {**self._run.trainer_arguments(), "enable_progress_bar": False}
        trainer = make_trainer(arguments, Path(), 1, [], "predict", [])
        _, logits, reasons = predicted_logits(trainer, self._pipeline, self.module, chosen)
        self.module.to("cpu")
        for position, why in sorted(reasons.items()):
            raise InputError(f"{store.name(position)} cannot be read: {why}")
        check_finite(logits, store.name)
        return logits.astype(np.float64)


class _Given:
    """Images that were given to a call, as the files they could lie in."""

    def __init__(self, images: Sequence[Any]) -> None:
        for i, image in enumerate(images):
            check_kind(image, i)
            if isinstance(image, str | os.PathLike) and not (path := user_path(os.fspath(image))).is_file():
                what = "is a folder; list its pictures" if path.is_dir() else "is not there"
                raise InputError(f"image {i}: {path} {what}")
        self._images = images

    def read(self, row: int) -> bytes:
        """An encoded image."""
        return file_of(self._images[row])

    def name(self, row: int) -> str:
        """Its path, or its place among those given."""
        return name_of(self._images[row], row)

    def sizes(self) -> npt.NDArray[np.int64]:
        """There are no files."""
        return np.empty(0, dtype=np.int64)
