"""Training and evaluating a detector, window by window."""

from __future__ import annotations

from typing import Any

_PLACES = {
    "BaseDeepfakeDetectionModel": "detector.base",
    "SoftTrainAugmentationsModel": "detector.base",
    "EvaluationOutput": "detector.stage",
    "Term": "detector.terms",
    "register_term": "detector.objectives",
    "Strategy": "strategies.base",
    "register_strategy": "strategies.registry",
    "DeepFakePredictionsDump": "lightning.compatibility",
    "MetricsManager": "lightning.compatibility",
    "MetricsManagerSlidingWindow": "lightning.compatibility",
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    # lazily: torch and Lightning take seconds to import
    if name in _PLACES:
        import importlib

        return getattr(importlib.import_module(f"aigenbench.training.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
