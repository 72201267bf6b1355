"""Every number that the benchmark published or laid down, once (Pellegrini et al., arXiv 2504.20865)."""

from __future__ import annotations

from dataclasses import dataclass

GENERATORS_PER_WINDOW = 4
PER_GENERATOR = 1000
"""Fakes of each generator in the evaluation set."""
TRAINING_PER_GENERATOR = 4000
"""Likewise in the training set."""
FAKES = {"train": TRAINING_PER_GENERATOR, "validation": PER_GENERATOR}
"""The same by split; there are as many reals as fakes."""
SHORTEST_SIDE, MOST_PIXELS = 200, 49_766_400
"""Of real images: what the shorter side has at least, and the whole at most."""

# Selections and pairing (protocol sections 3 and 4)
TRAINING_SEED = 1337
BALANCING_SEED = 1338
SUBSET_SEED = 1339
SHUFFLE_SEED = 1340
PAIRING_SEED = 1341

# Samples (protocol section 7)
AUGMENTATIONS_BASE_SEED = 4321
MAXIMUM_PROCESSING_SIZE = 1080
"""Pixels a side that a larger image is cropped to."""
AUGMENTATION_FACTOR = 4
"""Copies of each training image; a leaderboard entry may have no more."""
JPEG_QUALITIES = (50, 100)
"""What a mandatory JPEG step draws from: these two, or all that lie between."""

SGD = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4}
"""The optimizer's arguments (protocol section 6)."""


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


def windows_with_next(n_windows: int) -> range:
    """The windows that have a Next period: all but the last (protocol section 5)."""
    return range(max(n_windows - 1, 0))


def averaged_windows(n_windows: int) -> slice:
    """The windows that means are over: those with a Next period, or the only one there is."""
    return slice(0, len(windows_with_next(n_windows)) or n_windows)
