"""An experiment's folder as an object: windows, configuration, records, predictions, scores, intervals, detectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.config.folder import CONFIG_FILE, predictions_file
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.predictions.experiment import STAGES, window_folder, window_folders
from aigenbench.evaluation.predictions.record import Predictions, load_predictions
from aigenbench.evaluation.report.results import RUN_FILE, read_record
from aigenbench.evaluation.statistics.draws import REPLICATES
from aigenbench.files import user_path
from aigenbench.protocol.off_protocol import gathered

if TYPE_CHECKING:
    from aigenbench.engine.detector import Detector
    from aigenbench.engine.results import Evaluated, Intervals, Scores


@dataclass(frozen=True)
class Window:
    """A window of an experiment.

    Attributes:
        index: counted from 0.
        folder: where its checkpoints and predictions lie.
        finished: whether its training has come to its end.
        stages: ``validate`` and ``test``, where it was evaluated.
        record: what its run recorded: versions, hardware, seconds, ``protocol_fingerprint``; empty before it began.
    """

    index: int
    folder: Path
    finished: bool
    stages: tuple[str, ...]
    record: Mapping[str, Any] = field(repr=False)


class Experiment:
    """An experiment on disk, as ``fit`` makes it; everything is read when it is asked for.

    Args:
        folder: such as ``experiments_data/experiment_first``.

    Raises:
        InputError: there is no such folder, or it is none of an experiment.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = user_path(folder)
        if not self.folder.is_dir():
            siblings = [p.name for p in self.folder.parent.iterdir()] if self.folder.parent.is_dir() else []
            raise InputError(f"no experiment folder {self.folder}{nearest(self.folder.name, siblings)}")
        if not (self.folder / CONFIG_FILE).is_file() and not self.windows:
            raise InputError(f"{self.folder} is no experiment: it has neither config.yaml nor window_<k>")

    def __repr__(self) -> str:
        return f"Experiment({str(self.folder)!r})"

    @property
    def name(self) -> str:
        """The folder's name without ``experiment_``."""
        return self.folder.name.removeprefix("experiment_")

    @property
    def config(self) -> ResolvedConfig:
        """The resolved configuration, a mapping; ``to_dict()`` gives plain values.

        Raises:
            InputError: none was recorded.
        """
        path = self.folder / CONFIG_FILE
        if not path.is_file():
            raise InputError(f"no {path}: the experiment was not begun by fit")
        return ResolvedConfig.from_file(path)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows that are there, in order.

        Raises:
            InputError: a record is damaged.
        """
        from aigenbench.training.resume.state import is_trained, read_state

        found = []
        for k, folder in window_folders(self.folder).items():
            stages = tuple(stage for stage in STAGES if (folder / predictions_file(stage)).is_file())
            found.append(Window(k, folder, is_trained(read_state(folder)), stages, read_record(folder / RUN_FILE)))
        return tuple(found)

    @property
    def records(self) -> dict[int, Mapping[str, Any]]:
        """What the windows' runs recorded, by window."""
        return {window.index: window.record for window in self.windows if window.record}

    @property
    def off_protocol(self) -> tuple[str, ...]:
        """Why its training is off protocol (protocol section 8); none where it keeps to the rules."""
        known = [window.record.get("off_protocol") for window in self.windows if window.record]
        unrecorded = [window for window in self.windows if not window.record and window.stages]
        return gathered(*known, *(self.predictions(w.index, w.stages[0]).off_protocol for w in unrecorded))

    def predictions(self, window: int, stage: str = "validate") -> Predictions:
        """The predictions of a window: NumPy arrays, a row an image in ``fused_*``, a row a crop in ``crop_*``.

        Args:
            window: its index; -1 is the last that was evaluated.
            stage: ``validate`` or ``test``.

        Raises:
            InputError: the window was not evaluated, or its file is damaged.
        """
        known = [one.index for one in self.windows if stage in one.stages]
        if window == -1 and known:
            window = known[-1]
        if window not in known:
            listed = ", ".join(map(str, known)) or "none"
            raise InputError(f"{self.folder} has no {stage} predictions of window {window} (there are: {listed})")
        return load_predictions(window_folder(self.folder, window) / predictions_file(stage))

    def scores(self, stage: str = "validate", pairing: bool = True, threshold: float = 0.5) -> Scores:
        """Past, Next and Whole results and all other metrics, from the predictions files.

        Args:
            stage: ``validate`` or ``test``.
            pairing: whether a real counts only where its paired fake's generator counts.
            threshold: a score counts as fake where it is strictly greater; 0..1.

        Raises:
            InputError: no window was evaluated, or a file is damaged.
        """
        from aigenbench.engine.results import as_scores

        return as_scores(self._evaluated(stage, pairing, threshold))

    def intervals(
        self, stage: str = "validate", pairing: bool = True, threshold: float = 0.5, replicates: int = REPLICATES
    ) -> Intervals:
        """Intervals of 95 % of the scores.

        Args:
            stage: see ``scores``.
            pairing: see ``scores``.
            threshold: see ``scores``.
            replicates: bootstrap draws, at least 1.

        Raises:
            InputError: see ``scores``; or images do not come in pairs.
        """
        from aigenbench.engine.results import as_intervals

        if replicates < 1:
            raise InputError(f"replicates: expected a whole number of at least 1, found {replicates}")
        return as_intervals(self._evaluated(stage, pairing, threshold).intervals(replicates))

    def plot(self, path: Path | str, metric: str = "auroc", stage: str = "validate") -> Path:
        """Draw Past, Next and Whole over the windows.

        Args:
            path: ends in ``.png``, ``.pdf`` or ``.svg``.
            metric: the metric drawn.
            stage: ``validate`` or ``test``.

        Returns:
            The file.

        Raises:
            InputError: another ending, no such metric, or see ``scores``.
        """
        from aigenbench.evaluation.drawing.plots import check_format, plot_scores

        path = user_path(path)
        check_format(path)
        found = self._evaluated(stage, True, 0.5)
        found.check_metric(metric)
        plot_scores(found.shown, path, metric)
        return path

    def detector(self, window: int | None = None, device: str = "auto") -> Detector:
        """The detector that a window ended with; see ``Detector.load``.

        Args:
            window: None takes the last that is finished.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        """
        from aigenbench.engine.detector import Detector

        return Detector.of_training(self.folder, window, device)

    @cached_property
    def _known(self) -> dict[Any, Evaluated]:
        return {}

    def _evaluated(self, stage: str, pairing: bool, threshold: float) -> Evaluated:
        """What predictions come to, computed once as long as their files stay as they are."""
        from aigenbench.engine.results import evaluated

        files = sorted(self.folder.glob(f"*/{predictions_file('*')}"))
        key = (stage, pairing, threshold, tuple((str(f), f.stat().st_mtime_ns) for f in files))
        if key not in self._known:
            self._known.clear()
            self._known[key] = evaluated(self.folder, stage, pairing, threshold)
        return self._known[key]
