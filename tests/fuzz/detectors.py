"""An exported detector whose description says something else, or one of whose files is damaged."""

from __future__ import annotations

import json
import random
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from evaluation_made_up import made_up
from safetensors.torch import save_file

from fuzz.mutators import mutated
from fuzz.structures import json_bytes

IMPORTS = ("aigenbench.inference.selftest", "aigenbench.models.sources.small_cnn")

MODEL = {
    "name": "small_cnn/small_cnn_tune",
    "arguments": {},
    "n_outputs": 3,
    "seen": [0, 2],
    "preprocessing": {"mean": [0.5] * 3, "std": [0.2] * 3, "input_size": [32, 32], "interpolation": "bilinear"},
    "cropping": {"strategy": "multicrop"},
    "fusion": "mean of the crops' probabilities",
    "backbone": None,
    "imports": [],
}


@cache
def _whole() -> dict[str, bytes]:
    """The files of a detector of the smallest network, by name."""
    from aigenbench.evaluation.predictions.experiment import assemble
    from aigenbench.evaluation.statistics.operating import operating_points
    from aigenbench.inference import artefact, selftest
    from aigenbench.models.build import build_model

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        save_file(build_model(MODEL["name"], 3, False).state_dict(), folder / artefact.WEIGHTS_FILE)
        selftest.write(folder, selftest.pictures((32, 32)), np.zeros(3))
        scaling, points = operating_points(assemble("x", "validate", {0: made_up()}, "x"), 0)
        scores = {"Past": {"value": 0.5, "interval": [0.4, 0.6], "images": 9}}
        artefact.write_info(folder, artefact.Info("x", 0, ("A",), None, MODEL, scaling, points, scores))
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def make(folder: Path, rng: random.Random) -> None:
    """Write a detector, one file of it damaged; the hashes are often those of the damaged file."""
    from aigenbench.files import file_sha256
    from aigenbench.inference.artefact import DETECTOR_FILE

    files = dict(_whole())
    name = rng.choice((DETECTOR_FILE, DETECTOR_FILE, DETECTOR_FILE, *files))
    record = json.loads(files[DETECTOR_FILE])
    files[name] = json_bytes(record, rng) if name == DETECTOR_FILE else mutated(files[name], rng)
    for one, data in files.items():
        (folder / one).write_bytes(data)
    if name != DETECTOR_FILE and rng.random() < 0.8:
        record["hashes"][name] = file_sha256(folder / name)
        (folder / DETECTOR_FILE).write_text(json.dumps(record))


def check(folder: Path) -> None:
    """Load it and run its self-test, as ``detector check`` does, and write a model card."""
    from aigenbench.inference.card import model_card
    from aigenbench.inference.detector import Detector
    from aigenbench.inference.selftest import check as self_test

    detector = Detector.load(folder, "cpu")
    model_card(detector.info)
    self_test(detector)
