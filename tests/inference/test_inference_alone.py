"""An exported detector needs neither Lightning, nor the room `training`, nor a library its model is not of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inference_harness import Trained

from aigenbench.engine.exporting import export
from aigenbench.inference.detector import Detector

PROGRAM = """
import sys

MISSING = ("lightning", "pytorch_lightning", "torchmetrics", "jsonargparse", "datasets", "open_clip", "timm")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING or name.startswith("aigenbench.training"):
            raise ModuleNotFoundError(f"no module {name} here")

sys.meta_path.insert(0, Missing())
import numpy as np
import aigenbench as ab
from aigenbench.cli import main

picture = np.arange(6000, dtype=np.uint32).astype(np.uint8).reshape(40, 50, 3)
for folder in sys.argv[1:]:
    print(float(ab.Detector.load(folder, device="cpu").logits(picture)[0]))
    assert main(["detector", "check", folder, "--device", "cpu"]) == 0
"""


def test_it_works_without_them(trained: Trained, exported: Path, tmp_path: Path) -> None:
    probe = export(trained({"model.model_name": "torchvision/squeezenet1_1_probe"}), tmp_path / "detector")
    folders = [str(exported), str(probe)]
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    picture = np.arange(6000, dtype=np.uint32).astype(np.uint8).reshape(40, 50, 3)
    printed = [float(line) for line in done.stdout.splitlines() if line[0] in "-0123456789"]
    assert printed == pytest.approx([Detector.load(folder, "cpu").logits(picture)[0] for folder in folders], abs=1e-5)
