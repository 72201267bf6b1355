"""The interface of a strategy: hooks that do nothing, of which each strategy overrides those it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.protocol.windows import Rows

KEY = "experiment_info.strategy"


@dataclass(frozen=True)
class RowsContext:
    """What there is to choose a window's training images from.

    Attributes:
        window: its index.
        own: the rows of the train split that each window has for itself, up to this one; int64 (n_k,) each. Reals, as
            many as fakes, are among them; no image is in two.
        generator_ids: of every row of the train split, 0 for a real; int (n,).
        before: gives the rows that the window before trained on, as it chose them; not at window 0.
        features: gives the features of ``own[window - 1]``, by the weights which that window ended with (of a run on
            stored features: of its frozen backbone); float32 (n, D). None where only how many rows there are is asked.
    """

    window: int
    own: tuple[Rows, ...]
    generator_ids: npt.NDArray[np.integer]
    before: Callable[[], Rows]
    features: Callable[[], npt.NDArray[np.float32]] | None = None


class Strategy:
    """One choice of how a run goes over its windows.

    The arguments that it takes in a config are its constructor's. Several combine where they override other hooks.
    """

    needs_features = False
    """Whether ``rows`` asks for features; the window then chooses its images when the one before is trained."""

    def rows(self, context: RowsContext) -> Rows:
        """The rows that a window trains on, each once: int64 (n,), all of windows up to it."""
        raise NotImplementedError

    def copies(self, context: RowsContext, rows: Rows, factor: int) -> npt.NDArray[np.int64]:
        """How many of the ``factor`` augmented copies of each row are trained on: int64 (n,), 1 to ``factor``."""
        raise NotImplementedError

    def start(self, context: Any) -> None:
        """Set the weights that a window starts with."""
        raise NotImplementedError

    def finish(self, context: Any) -> None:
        """Set the weights that a window ends with."""
        raise NotImplementedError

    def terms(self, context: Any) -> Mapping[str, Any]:
        """Terms that are added to the loss."""
        raise NotImplementedError


HOOKS = {
    "rows": "which images",
    "copies": "how many copies",
    "start": "the weights that a window starts with",
    "finish": "the weights that a window ends with",
    "terms": "terms of the loss",
}
"""The hooks by name, and what each is about."""


def overrides(strategy: type[Strategy], hook: str) -> bool:
    """Whether a strategy is about what ``hook`` says."""
    return getattr(strategy, hook) is not getattr(Strategy, hook)
