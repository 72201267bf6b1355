"""The JSON of an experiment's folder: what a run recorded of itself, changes of configuration, records of results."""

from __future__ import annotations

import json
import random
from pathlib import Path

from evaluation_made_up import write_experiment

from fuzz.structures import json_bytes
from fuzz.yaml_files import yaml_text

RUN = {
    "aigenbench": "1.0",
    "python": "3.11.2",
    "packages": {"torch": "2.8.0", "numpy": "2.0.0"},
    "seed": 42,
    "trained_parameters": 1000,
    "parameters": 2000,
    "data": "synthetic",
    "seconds": 12.5,
    "hardware": {"gpu": "x"},
    "weights": {"name": "a", "sha256": "ab"},
    "images_per_second": 10.0,
    "devices": 1,
    "peak_memory": 2**30,
}
CHANGES = [{"date": "2026-01-02T03:04:05", "window": 1, "changes": ["model.lr: 1 -> 2"]}]
RECORD = {"weights": "a/final.ckpt", "weights_sha256": "ab" * 32, "data": "x", "own": False}


def make(folder: Path, rng: random.Random) -> None:
    """An experiment with records, of which one is damaged."""
    from aigenbench.config.folder import CHANGES_FILE, CONFIG_FILE, RUN_FILE

    write_experiment(folder, n_per_generator=4)
    records = {
        f"window_0/{RUN_FILE}": RUN,
        f"window_1/{RUN_FILE}": RUN,
        CHANGES_FILE: CHANGES,
        "window_2/predictions_validate_all.json": RECORD,
    }
    for name, value in records.items():
        (folder / name).write_text(json.dumps(value))
    name = rng.choice((*records, CONFIG_FILE, f"window_0/{CONFIG_FILE}"))
    (folder / name).write_bytes(json_bytes(records[name], rng) if name in records else yaml_text(rng))


def check(folder: Path) -> None:
    """Write its report and its bundle."""
    from aigenbench.evaluation.leaderboard.submission import make_submission
    from aigenbench.evaluation.report.page import write_report
    from aigenbench.evaluation.report.results import load_run
    from aigenbench.evaluation.report.view import make_view
    from aigenbench.evaluation.statistics.uncertainty import Effort

    write_report(folder / "report.html", [make_view(load_run(folder, effort=Effort(20, 20)), "a")])
    make_submission(folder, folder / "out.zip")
