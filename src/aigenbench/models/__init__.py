"""Models by name: backbones with heads, their weights and their preprocessing, and users' own."""

from __future__ import annotations

from typing import Any

from aigenbench.models.build import build_model, preprocessing_of
from aigenbench.models.catalogue import ensure_weights
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.registry import ModelFactoryRegistry
from aigenbench.models.sizes import check_input_size

_PLACES = {
    "Head": "learned",
    "Rows": "rows",
    "Transform": "transforms",
    "register_head": "choice",
    "register_transform": "choice",
}
__all__ = [
    "Head",
    "ModelFactoryRegistry",
    "Preprocessing",
    "Rows",
    "Transform",
    "build_model",
    "check_input_size",
    "ensure_weights",
    "preprocessing_of",
    "register_head",
    "register_transform",
]


def __getattr__(name: str) -> Any:
    # lazily: torch takes seconds to import
    if name in _PLACES:
        import importlib

        return getattr(importlib.import_module(f"aigenbench.models.heads.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
