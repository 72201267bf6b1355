"""``base_weights`` of a detector that is built in Python, loaded as soon as it is built.

A run loads them itself, where it begins: a run that is resumed has weights of its own.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_LATER: ContextVar[bool] = ContextVar("base_weights_later", default=False)


class LoadsBaseWeights(ABCMeta):
    """Classes whose instances hold their ``base_weights`` once they, subclasses' own parts included, are built.

    A class that loads them at another time says ``base_weights_when_built = False``.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """A new instance, its weights loaded."""
        built = super().__call__(*args, **kwargs)
        path = getattr(built, "base_weights", None)
        if path is not None and not _LATER.get() and getattr(cls, "base_weights_when_built", True):
            from aigenbench.training.detector.records import load_detector

            load_detector(built, Path(path))
        return built


@contextmanager
def base_weights_later() -> Iterator[None]:
    """Within the context, detectors are built without loading: whoever builds them does it."""
    token = _LATER.set(True)
    try:
        yield
    finally:
        _LATER.reset(token)
