"""A user's own function, from a list of PIL images to their scores."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aigenbench.config.imports import import_file, reason, use_current_folder
from aigenbench.data.pictures.decode import Pixels
from aigenbench.errors import InputError, nearest
from aigenbench.files import read_bytes
from aigenbench.inference.external.scorer import Scored, Scorer, UnscoredError

SCORES = ("probability", "logit")
"""What a function's numbers may be: probabilities of being fake, 0..1, or their log-odds."""
_SMALLEST = 1e-300
# the largest double below one
_LARGEST = float(np.nextafter(1.0, 0.0))


class FunctionScorer(Scorer):
    """A function that takes a list of PIL images (RGB) and returns as many numbers.

    Args:
        function: it.
        scores: one of ``SCORES``.
        scorer: arguments of ``Scorer``.
    """

    def __init__(self, function: Callable[[list[Image.Image]], Any], scores: str, **scorer: Any) -> None:
        super().__init__(prepare=as_pil, **scorer)
        self._function, self._scores = function, scores

    def score(self, prepared: list[Image.Image]) -> Scored:
        """See ``Scorer.score``."""
        try:
            returned = self._function(list(prepared))
        except Exception as error:
            raise self._of_one(prepared, error) from error
        values = _numbers(returned)
        if values is None or len(values) != len(prepared):
            found = _described(returned) if values is None else f"{len(values)} numbers"
            raise UnscoredError(0, f"{self.name} was given {len(prepared)} images from here on and returned {found}")
        return Scored.of_images(self._logits(values))

    def _logits(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        broken = ~np.isfinite(values)
        if self._scores == "logit":
            if broken.any():
                raise UnscoredError(
                    int(np.argmax(broken)), f"its score is {values[broken][0]}, expected a finite logit"
                )
            return values
        broken |= (values < 0) | (values > 1)
        if broken.any():
            raise UnscoredError(
                int(np.argmax(broken)),
                f"its score is {values[broken][0]:g}, expected a probability in 0..1; where {self.name} gives logits, "
                "say --scores logit",
            )
        p = np.clip(values, _SMALLEST, _LARGEST)
        return np.log(p) - np.log1p(-p)

    def _of_one(self, images: list[Image.Image], error: Exception) -> UnscoredError:
        """Which of a batch's images the function fails on; the first, where it takes each alone."""
        if len(images) > 1:
            for i, image in enumerate(images):
                try:
                    self._function([image])
                except Exception as of_one:  # noqa: BLE001 - as above
                    return UnscoredError(i, f"{self.name} failed: {reason(of_one)}")
        several = f" with {len(images)} images from here on, though not with each alone" if len(images) > 1 else ""
        return UnscoredError(0, f"{self.name} failed{several}: {reason(error)}")


def as_pil(pictures: Sequence[Pixels]) -> list[Image.Image]:
    """PIL images of pictures."""
    return [Image.fromarray(picture) for picture in pictures]


def function_of_file(text: str, scores: str) -> FunctionScorer:
    """The function that ``FILE.py:NAME`` names; the file is run, as the user asks for.

    Raises:
        InputError: there is no such file or function, or the code in it fails.
    """
    place, _, name = text.rpartition(":")
    if not place.endswith(".py"):
        raise InputError(f"{text}: which function? give it as {text if text.endswith('.py') else 'FILE.py'}:NAME")
    path = Path(place).expanduser()
    use_current_folder([place])
    module = import_file(path)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise InputError(f"{place} has no function {name!r}{nearest(name, known)}")
    digest = hashlib.sha256(read_bytes(path)).hexdigest()
    return FunctionScorer(
        function,
        scores,
        name=path.stem if name == "predict" else f"{path.stem}_{name}",
        place=f"{path}:{name}",
        sha256=digest,
        identity={"kind": "function", "function": name, "scores": scores},
    )


def function_given(function: Callable[..., Any], scores: str) -> FunctionScorer:
    """A function that was handed over in Python; it is known again by its name and source."""
    name = str(getattr(function, "__name__", type(function).__name__))
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        # built in, or typed where no source is kept
        source = name
    digest = hashlib.sha256(source.encode()).hexdigest()
    identity = {"kind": "function", "function": name, "scores": scores}
    return FunctionScorer(function, scores, name=name, place=name, sha256=digest, identity=identity)


def _numbers(returned: Any) -> NDArray[np.float64] | None:
    """What a function returned, as float64 (n,); None where that is no list of numbers."""
    if hasattr(returned, "detach"):
        returned = returned.detach().cpu().numpy()
    try:
        values = np.asarray(returned, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    return values if values.ndim == 1 else None


def _described(returned: Any) -> str:
    shape = getattr(returned, "shape", None)
    return f"{type(returned).__name__}{f' of shape {tuple(shape)}' if shape is not None else ''}, no list of numbers"
