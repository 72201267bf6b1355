"""Results published with the benchmark (Pellegrini et al., arXiv 2504.20865): the reference rows of pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published detector: mean AUROC over the windows with a Next period, in 0..1."""

    name: str
    past: float
    coming: float
    whole: float


BASELINES = (
    Published("DINOv2 ViT-L/14", 0.991, 0.9424, 0.979),
    Published("CLIP ViT-L/14", 0.981, 0.9204, 0.970),
    Published("CLIP ResNet-50", 0.899, 0.8177, 0.889),
)
NOTE = "published; other random draws, no interval given"
