"""Models by name: backbones with heads, their weights and their preprocessing, and users' own."""

from __future__ import annotations

from aigenbench.models.build import build_model, preprocessing_of
from aigenbench.models.catalogue import ensure_weights
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.registry import ModelFactoryRegistry
from aigenbench.models.sizes import check_input_size

__all__ = [
    "ModelFactoryRegistry",
    "Preprocessing",
    "build_model",
    "check_input_size",
    "ensure_weights",
    "preprocessing_of",
]
