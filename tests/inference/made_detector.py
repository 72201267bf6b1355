"""An exported detector for tests: a real network, small, with weights that are drawn, and thresholds that are set."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from aigenbench.evaluation.statistics.calibration import Scaling
from aigenbench.evaluation.statistics.operating import OperatingPoint, Rate, Rates
from aigenbench.inference import selftest
from aigenbench.inference.artefact import FUSION, WEIGHTS_FILE, Info, write_info
from aigenbench.inference.detector import Detector
from aigenbench.inference.network import load_network
from aigenbench.models.build import build_model
from aigenbench.models.preprocessing import Preprocessing


def point(fpr: float, low: float, high: float) -> OperatingPoint:
    rates = Rates(
        recall=Rate(80, 100),
        false_positives=Rate(2, 200),
        reals_called_generated=Rate(2, 200),
        fakes_called_real=Rate(5, 100),
        reals_unsure=Rate(20, 200),
        fakes_unsure=Rate(15, 100),
    )
    return OperatingPoint(fpr, high, low, high, rates, rates, "Next")


def write_detector(
    folder: Path,
    strategy: str = "resize",
    band: tuple[float, float] = (-0.5, 0.5),
    model: str = "small_cnn/small_cnn",
    size: int = 32,
    arguments: dict[str, Any] | None = None,
    scale: float = 30.0,
) -> Path:
    """Write one whose logits spread by about ``scale`` times those of a network as it is drawn."""
    torch.manual_seed(0)
    network = build_model(model, 1, pretrained=False, **(arguments or {}))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    for name in ("head.weight", "head.bias"):
        state[name] = state[name] * scale
    folder.mkdir(parents=True)
    save_file(state, folder / WEIGHTS_FILE)
    info = Info(
        name="made up",
        window=2,
        generators=("CycleGAN", "ProGAN"),
        knows_until=date(2019, 5, 1),
        model={
            "name": model,
            "arguments": arguments or {},
            "n_outputs": 1,
            "seen": None,
            "preprocessing": Preprocessing(input_size=(size, size)).to_dict(),
            "cropping": {"strategy": strategy},
            "fusion": FUSION,
            "backbone": None,
            "imports": [],
        },
        calibration=Scaling(0.5, 0.1),
        points=(point(0.01, *band), point(0.05, band[0] / 2, band[1] / 2)),
    )
    pictures = selftest.pictures((size, size))
    detector = Detector(folder, info, load_network(folder, info), torch.device("cpu"), 4, 0)
    selftest.write(folder, pictures, detector.logits(pictures))
    write_info(folder, info)
    return folder


def scene(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A smooth random picture, uint8 (h, w, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))
