"""Data sets, samples and batches."""

from __future__ import annotations

from typing import Any

__all__ = ["AIGenBenchDatasetLoader", "AIGenBenchPipeline"]


def __getattr__(name: str) -> Any:
    # lazily: decoding and augmenting are not needed to show a data set's windows
    if name in __all__:
        from aigenbench.data import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
