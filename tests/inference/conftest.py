"""Detectors trained for a moment, and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from inference_harness import FEW, Trained

import aigenbench as ab
from aigenbench.engine.exporting import export
from aigenbench.inference.detector import Detector
from small_run import PIPELINE


@pytest.fixture(scope="session")
def trained(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trains the first window of an experiment, with what is to be different from `FEW`."""

    def train(changes: dict[str, Any] | None = None, **arguments: Any) -> ab.Experiment:
        folder = {"experiment_info": {"experiments_data_folder": tmp_path_factory.mktemp("trained")}}
        return ab.fit(PIPELINE, folder, overrides=FEW | {"dataset_path": small_dataset} | (changes or {}), **arguments)

    return train


@pytest.fixture(scope="session")
def experiment(trained: Trained) -> ab.Experiment:
    """A small network, of which the first window is trained and evaluated."""
    return trained()


@pytest.fixture(scope="session")
def exported(experiment: ab.Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an exported detector; not to be changed."""
    return export(experiment, tmp_path_factory.mktemp("exported") / "detector", license="mit")


@pytest.fixture
def detector(exported: Path) -> Detector:
    """The same, loaded."""
    return Detector.load(exported, "cpu")
