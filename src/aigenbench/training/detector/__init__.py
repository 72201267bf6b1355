"""The detector: what a user subclasses, and what it is told and returns."""

from __future__ import annotations

from typing import Any

__all__ = ["BaseDeepfakeDetectionModel", "SoftTrainAugmentationsModel"]


def __getattr__(name: str) -> Any:
    # lazily: torch and Lightning take seconds to import
    if name in __all__:
        from aigenbench.training.detector import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
