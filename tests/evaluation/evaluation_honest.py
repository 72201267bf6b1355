"""An honest submission of small size on the published timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aigenbench.augmentations import MandatoryEvaluation
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.external import import_csv
from aigenbench.evaluation.predictions.record import save_predictions
from aigenbench.protocol.fingerprints import protocol_fingerprint
from aigenbench.protocol.identity import image_keys
from aigenbench.protocol.timeline import PUBLISHED

PER_GENERATOR = 3
COLUMNS = (
    np.random.default_rng(0).permutation([*PUBLISHED.names, *[""] * len(PUBLISHED.names)] * PER_GENERATOR).tolist()
)


def write_csv(path: Path, separation: float = 1.5, seed: int = 0, windows: int = 9) -> Path:
    """Predictions of a detector made elsewhere."""
    rng = np.random.default_rng(seed)
    lines = ["image_id,window,score,logit"]
    for k in range(windows):
        logits = (
            rng.normal(size=len(COLUMNS)) + separation * np.array([bool(name) for name in COLUMNS]) - separation / 2
        )
        lines += [f"{i},{k},{1 / (1 + np.exp(-x)):.9f},{x:.9f}" for i, x in enumerate(logits)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_honest(folder: Path, separation: float = 1.5, seed: int = 0, names: Sequence[str] = ()) -> Path:
    """The folder of an experiment that follows the protocol, fingerprint included; ``names`` are the images'."""
    folder.mkdir(parents=True)
    keys = image_keys(names) if names else None
    import_csv(write_csv(folder / "scores.csv", separation, seed), COLUMNS, folder, keys=keys)
    for k, p in load_experiment(folder).windows.items():
        fingerprint = protocol_fingerprint(
            PUBLISHED,
            p.windows_timeline,
            "cumulative",
            p.identifier,
            p.pairing,
            MandatoryEvaluation().describe(),
            4321,
        )
        complete = replace(p, protocol_fingerprint=fingerprint)
        save_predictions(folder / f"window_{k}/predictions_validate_all.npz", complete)
    (folder / "window_0/config.yaml").write_text("data:\n  init_args:\n    augmentation_factor: 4\n")
    return folder
