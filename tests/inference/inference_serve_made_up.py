"""Detectors and pictures for the tests of the page: a tiny network whose verdicts are known."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from aigenbench.evaluation.statistics.calibration import Scaling
from aigenbench.evaluation.statistics.operating import OperatingPoint, Rate, Rates
from aigenbench.inference.artefact import FUSION, SELFTEST_FILE, WEIGHTS_FILE, Info, write_info
from aigenbench.models.build import build_model
from aigenbench.models.preprocessing import Preprocessing

SIZE = 32
SEED = 0
"""Of a network whose logits rise from dark to bright pictures."""
REAL, UNSURE, GENERATED = 120, 185, 250
"""Grey values of pictures that get this verdict."""


def write_detector(folder: Path, name: str = "small", cropping: str = "resize") -> Path:
    """A detector to which a bright picture is a generated one."""
    torch.manual_seed(SEED)
    model = build_model("small_cnn", 1, pretrained=False)
    logits = {grey: _logit(model, grey) for grey in (REAL, UNSURE, GENERATED)}
    low, high = (logits[REAL] + logits[UNSURE]) / 2, (logits[GENERATED] + logits[UNSURE]) / 2
    rates = Rates(*(Rate(count, 400) for count in (300, 4, 3, 20, 30, 60)))
    point = OperatingPoint(0.01, high, low, high, rates, rates, "Next")
    folder.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / WEIGHTS_FILE)
    save_file({"nothing": torch.zeros(1)}, folder / SELFTEST_FILE)
    info = Info(
        name=name,
        window=0,
        generators=("A generator", "<b>B</b>"),
        knows_until=date(2023, 5, 31),
        model={
            "name": "small_cnn",
            "arguments": {},
            "n_outputs": 1,
            "seen": None,
            "preprocessing": Preprocessing(input_size=(SIZE, SIZE)).to_dict(),
            "cropping": {"strategy": cropping},
            "fusion": FUSION,
            "backbone": None,
            "imports": [],
        },
        calibration=Scaling(4.0 / (high - low), -2.0 * (high + low) / (high - low)),
        points=(point,),
        licence="CC0-1.0",
    )
    write_info(folder, info)
    return folder


def _logit(model: torch.nn.Module, grey: int) -> float:
    preprocessing = Preprocessing(input_size=(SIZE, SIZE))
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (preprocessing.mean, preprocessing.std))
    with torch.inference_mode():
        return float(model.eval()((torch.full((1, 3, SIZE, SIZE), grey / 255) - mean) / std))


def picture(grey: int, size: tuple[int, int] = (48, 64), kind: str = "PNG") -> bytes:
    """A plain picture's file; size is (height, width)."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((*size, 3), grey, np.uint8)).save(buffer, kind)
    return buffer.getvalue()
