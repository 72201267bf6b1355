"""A trained detector to score images with, loaded from a checkpoint or an experiment alone."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from aigenbench.data.predict import PredictSet
from aigenbench.data.sources.tables import Columns, ImageTable
from aigenbench.engine.assembly.weights import device_arguments, request_of_weights
from aigenbench.engine.calling import as_a_call, folder_of
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.files import user_path

if TYPE_CHECKING:
    from aigenbench.data.pipeline import AIGenBenchPipeline
    from aigenbench.engine.assembly.run import Run
    from aigenbench.protocol.trained import Trained
    from aigenbench.training import BaseDeepfakeDetectionModel
    from aigenbench.training.window.weights import Weights

Picture = str | os.PathLike[str] | npt.NDArray[np.uint8] | Image.Image
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


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
    ) -> Detector:
        """Load a detector; no configuration and no data set are needed.

        Args:
            place: a checkpoint that ``fit`` left, an experiment's folder, or an ``Experiment``.
            window: of an experiment, the window whose last weights; None takes the last that is finished.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            imports: Python files or modules to import first: the models and classes it was made of, where they were
                not imported already.
            batch_size: images at a time; None takes what evaluations had.
            num_workers: processes that read images.
            trust_imports: import whatever its training had imported, and build whatever classes the checkpoint names:
                for one whose maker you trust.

        Raises:
            InputError: there are no such weights; they do not say which detector they are of; or its class or model is
                not known here: the message names what its training had imported.
        """
        with as_a_call():
            from aigenbench.config.layer import layer
            from aigenbench.training.loop.predicting import find_weights, ready_to_predict

            weights = find_weights(folder_of(place), window)
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
    def input_size(self) -> tuple[int, int]:
        """(height, width) of what the model is given, in pixels."""
        return self.module.input_size

    def predict(self, images: Picture | Iterable[Picture]) -> npt.NDArray[np.float64]:
        """Probabilities of being fake.

        Args:
            images: one or several: paths of pictures, arrays (uint8 (h, w, 3) in RGB, or (h, w) in grey), or PIL
                images. Several arrays of one size may also be one array (n, h, w, 3).

        Returns:
            float64 (n,), in the images' order, each 0 (real) to 1 (fake).

        Raises:
            InputError: an image cannot be read or is none of these, or its score is no finite number; the message says
                which.
        """
        return sigmoid(self.logits(images))

    def logits(self, images: Picture | Iterable[Picture]) -> npt.NDArray[np.float64]:
        """Logits of being fake, float64 (n,); arguments and errors as of ``predict``."""
        given = _several(images)
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
        self._images = [_checked(image, i) for i, image in enumerate(images)]

    def read(self, row: int) -> bytes:
        """An encoded image."""
        image = self._images[row]
        if isinstance(image, Path):
            return image.read_bytes()
        return _encoded(Image.fromarray(image) if isinstance(image, np.ndarray) else ImageOps.exif_transpose(image))

    def name(self, row: int) -> str:
        """Its path, or its place among those given."""
        image = self._images[row]
        return str(image) if isinstance(image, Path) else f"image {row}"

    def sizes(self) -> npt.NDArray[np.int64]:
        """There are no files."""
        return np.empty(0, dtype=np.int64)


def _several(images: Any) -> list[Any]:
    if isinstance(images, str | os.PathLike | Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    try:
        return list(images)
    except TypeError:
        return [images]


def _checked(image: Any, i: int) -> Any:
    """A path, a PIL image or an array, as it is read."""
    if isinstance(image, str | os.PathLike):
        path = user_path(os.fspath(image))
        if not path.is_file():
            what = "is a folder; list its pictures" if path.is_dir() else "is not there"
            raise InputError(f"image {i}: {path} {what}")
        return path
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2:] == (3,)):
        return image
    found = f"an array of {image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise InputError(f"image {i}: expected a path, a PIL image or an array uint8 (h, w, 3) or (h, w), found {found}")


def _encoded(image: Image.Image) -> bytes:
    """The image's pixels as a file without loss, which is then read as any other."""
    buffer = io.BytesIO()
    if image.mode in ("YCbCr", "HSV"):
        # no version of Pillow writes the second, and not each reads the first back
        image = image.convert("RGB")
    if image.mode in _PNG_MODES:
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "TIFF")
    return buffer.getvalue()
