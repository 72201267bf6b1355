"""The weights over the windows of a run: what each starts with, learns from, ends with and is evaluated with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from aigenbench.evaluation.metrics.definitions import compute
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.models.probe import Classifier
from aigenbench.training.detector.records import load_detector, load_record, trained_of
from aigenbench.training.detector.teacher import Teacher
from aigenbench.training.heads.group import Heads
from aigenbench.training.lightning.module_state import flags_of, restore_flags
from aigenbench.training.lightning.trainers import make_trainer
from aigenbench.training.processes.signals import StopRequest
from aigenbench.training.resume.checkpoints import WindowCheckpoints
from aigenbench.training.resume.folder import ExperimentFolder
from aigenbench.training.resume.state import read_state
from aigenbench.training.strategies.distillation import TermsContext
from aigenbench.training.strategies.merging import Weights
from aigenbench.training.strategies.weights import FinishContext, StartContext
from aigenbench.training.window.evaluating import evaluate_detector
from aigenbench.training.window.inputs import Setup
from aigenbench.training.window.keeper import WindowKeeper

logger = logging.getLogger(__name__)

GOES_ON = "goes_on"
"""In a window's last checkpoint: the weights that training goes on from, where others are evaluated."""
MERGED = "merged"
"""There and in ``run.json``: what the strategy tells of the weights that a window ends with."""


class WindowWeights:
    """Brings the detector to the weights that a window needs.

    Args:
        setup: the run's objects, before any weights are loaded.
        experiment: where its files go.
        heads: further heads that are trained along.
    """

    def __init__(self, setup: Setup, experiment: ExperimentFolder, heads: Heads) -> None:
        self._setup, self._experiment, self._heads = setup, experiment, heads
        self.in_memory: int | None = None
        """The window whose last weights the detector in memory has."""
        detector = setup.detector
        self._about = {hook: setup.strategies.about(hook) for hook in ("start", "finish", "terms")}
        kept = any(self._about.values())
        self._initial = ({k: v.clone() for k, v in detector.state_dict().items()}, flags_of(detector)) if kept else None

    @property
    def are_merged(self) -> bool:
        """Whether a window ends with other weights than those its training ends with."""
        return self._about["finish"] is not None

    def _final(self, window: int) -> dict[str, Any]:
        folder = self._experiment.window_folder(window)
        return WindowCheckpoints(folder, read_state(folder)).load_final()

    def load_final(self, window: int, going_on: bool = False) -> None:
        """Load what a window ended with, or what training goes on from."""
        detector, folder, record = self._setup.detector, self._experiment.window_folder(window), self._final(window)
        if going_on and GOES_ON in record:
            record["state_dict"] = record[GOES_ON]
        load_record(detector, record, folder)
        restore_flags(detector, record.get("flags", {}))
        detector.on_load_checkpoint(record)
        self._heads.load_final(window)
        self.in_memory = None if GOES_ON in record else window

    def load_position(
        self, window: int, checkpoints: WindowCheckpoints, title: Callable[[int], str]
    ) -> dict[str, Any] | None:
        """Bring the detector to where the window's training goes on; the checkpoint, or None at its start."""
        detector = self._setup.detector
        record = checkpoints.resume()
        if record is not None:
            load_record(detector, record, checkpoints.folder)
            restore_flags(detector, record.get("flags_before", {}))
            detector.on_load_checkpoint(record)
            self._heads.restore(record.get("heads", []))
            logger.info("%s: going on after optimizer step %d", title(record["epochs"]), record["steps"])
        else:
            self._start(window)
            self._heads.begin_window()
        self._teach(window)
        return record

    # the start of a window

    def _start(self, window: int) -> None:
        strategy: Any = self._about["start"]
        if not window:
            self._reset()
        elif strategy is None:
            self._carry(window)
        else:
            strategy[1].start(StartContext(window, partial(self._carry, window), self._reset))

    def _carry(self, window: int) -> None:
        if self.in_memory != window - 1:
            self.load_final(window - 1, going_on=True)

    def _reset(self) -> None:
        """Go back to what the run began with."""
        detector = self._setup.detector
        if self._initial is not None:
            weights, flags = self._initial
            detector.load_state_dict(weights)
            restore_flags(detector, flags)
            detector.trained = None
        if detector.base_weights is not None:
            load_detector(detector, Path(detector.base_weights))
            self._heads.load_weights(Path(detector.base_weights))

    def _teach(self, window: int) -> None:
        """Give the detector the terms of the window's loss, and the earlier detector that they compare with."""
        detector, strategy = self._setup.detector, self._about["terms"]
        if strategy is None:
            return
        width = detector.model.num_features if isinstance(detector.model, Classifier) else 0
        detector.window_terms = dict(strategy[1].terms(TermsContext(window, width)))
        detector.teacher = None
        if window and any(term.needs_earlier for term in detector.window_terms.values()):
            record = self._final(window - 1)
            trained = trained_of(record, self._experiment.window_folder(window - 1))
            assert trained is not None, "a run's own checkpoints say"
            detector.teacher = Teacher(record["state_dict"], (0, *trained.ids))

    # its end

    def finish(self, keeper: WindowKeeper, trainer: pl.Trainer, stop: StopRequest) -> None:
        """Make the weights that a window ends with, and write them; killed before, it is done again.

        Raises:
            StoppedError: a signal asked for it while weights were compared.
            UnreadableError: the weights of the window before cannot be read.
        """
        strategy: Any = self._about["finish"]
        if strategy is None:
            return
        name, one = strategy
        window, record = keeper.plan.window, keeper.last
        before, trained = cache(lambda: self._final(window - 1)), record["state_dict"]
        made = one.finish(
            FinishContext(
                window,
                trained,
                lambda: before()["state_dict"],
                lambda: before().get(MERGED, {}).get(name, {}),
                self._setup.detector,
                lambda weights: self._past(weights, window, stop),
            )
        )
        told = {MERGED: {name: dict(made.told)}} if made.told else {}
        record |= {"state_dict": dict(made.weights), **told}
        if made.goes_on:
            record[GOES_ON] = trained
        keeper.save_final(trainer, record, False, told)
        # of several processes each takes what the first has written
        self.in_memory = None

    def _past(self, weights: Weights, window: int, stop: StopRequest) -> float | None:
        """The AUROC of weights on the Past period of a window."""
        setup = self._setup
        setup.detector.load_state_dict(weights)
        arguments: Mapping[str, Any] = {**setup.inputs.trainer_arguments({}), "callbacks": []}
        folder = self._experiment.window_folder(window)
        trainer = make_trainer(arguments, folder, 1, [], f"window {window}, weights compared on Past", [])
        predictions = evaluate_detector(setup, trainer, window, "validate", stop)
        return compute(WindowGroups(predictions).period("growing", window), ("auroc",))["auroc"]
