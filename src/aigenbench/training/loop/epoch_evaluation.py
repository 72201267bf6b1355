"""The evaluation of an epoch within a window's training: predictions, scores, and what callbacks may monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from aigenbench.config.folder import predictions_file
from aigenbench.evaluation.predictions.record import Predictions, save_predictions
from aigenbench.training.heads.group import Heads, HeadsEvaluation
from aigenbench.training.lightning.module_state import weights_digest
from aigenbench.training.processes.sharding import is_sharded, keep_whole
from aigenbench.training.processes.signals import StopRequest
from aigenbench.training.window.collect import OutputCollector
from aigenbench.training.window.evaluating import checked_predictions, log_evaluation
from aigenbench.training.window.inputs import Setup
from aigenbench.training.window.keeper import WindowKeeper


class EpochEvaluation(OutputCollector):
    """Scores the evaluation images at the end of an epoch and keeps the result.

    Args:
        setup: the run's objects.
        keeper: knows the training.
        heads: further heads that are trained along.
        common_batches: how many batches every process has.
        stop: the request to stop.
    """

    def __init__(
        self,
        setup: Setup,
        keeper: WindowKeeper,
        heads: Heads,
        common_batches: int,
        stop: StopRequest,
    ) -> None:
        super().__init__(common_batches, stop)
        self._setup, self._keeper, self._heads = setup, keeper, heads
        self.beside = HeadsEvaluation(heads.runs, keeper.plan.window)
        """Evaluates the heads on the same batches; a callback too."""
        self._trained_form: Any = None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let every process score by itself: they may have unequal numbers of batches."""
        if is_sharded(pl_module):
            keep_whole(pl_module, True)
            return
        # DistributedDataParallel would exchange buffers at every batch
        self._trained_form = trainer.strategy.model
        trainer.strategy.model = pl_module

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep predictions, and log their metrics where loggers and monitoring callbacks find them."""
        keeper, window = self._keeper, self._keeper.plan.window
        step, title = keeper.plan.logged(trainer.current_epoch + 1), keeper.title(trainer.current_epoch)
        predictions = checked_predictions(self._setup, self.gathered(), window, "validate", self._setup.fingerprint)
        of_heads = self.beside.predictions()
        if trainer.is_global_zero:
            for run, of_head in zip(self._heads.runs, of_heads, strict=True):
                keep_predictions(run.experiment.window_folder(window), of_head, step)
                log_evaluation(run.setup, run.loggers(window), of_head, window, step, f"{run.name}, {title}")
            keep_predictions(keeper.checkpoints.folder, predictions, step)
        # every process: callbacks of each decide by them
        values = log_evaluation(self._setup, trainer.loggers, predictions, window, step, title)
        pl_module.log_dict(values, logger=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go back to the form in which the detector is trained."""
        if is_sharded(pl_module):
            keep_whole(pl_module, False)
        else:
            trainer.strategy.model = self._trained_form
        self._keeper.evaluated = weights_digest(pl_module)


def keep_predictions(folder: Path, predictions: Predictions, step: int) -> None:
    """Write an evaluation's predictions under its step's name and under that of the window's last."""
    save_predictions(folder / f"predictions_validate_step_{step:08d}.npz", predictions)
    save_predictions(folder / predictions_file("validate"), predictions)
