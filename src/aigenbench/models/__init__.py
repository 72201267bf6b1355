"""Models by name: backbones with heads, their weights and their preprocessing, and users' own."""

from __future__ import annotations

from aigenbench.models.build import build_model, preprocessing_of
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.registry import ModelFactoryRegistry

__all__ = ["ModelFactoryRegistry", "Preprocessing", "build_model", "preprocessing_of"]
