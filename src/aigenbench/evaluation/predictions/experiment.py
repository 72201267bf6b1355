"""An experiment on disk: the predictions of its windows, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from aigenbench.config.folder import CONFIG_FILE, STANDARD_FOLDER, predictions_file
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.predictions.record import Predictions, load_predictions
from aigenbench.files import read_json
from aigenbench.protocol.off_protocol import gathered, marked, told
from aigenbench.protocol.periods import PERIOD_TITLES, PERIODS, period_generators
from aigenbench.protocol.windows import standard_windows

STAGES = ("validate", "test")
OF_ALL_WINDOWS = ("windows_timeline", "generator_id_to_name", "protocol_fingerprint", "benchmark_type", "timeline")


@dataclass(frozen=True)
class ExperimentPredictions:
    """What is there of an experiment.

    Attributes:
        name: the folder's name without ``experiment_``.
        stage: ``validate`` or ``test``.
        windows: predictions by window index; windows without a file are absent.
        n_windows: how many windows ``timeline`` has.
        notes: what a reader should know, one line each (such as windows that are missing).
        origin: which weights were evaluated on which data set, where that is not the folder's own training.
        standard: of an extended timeline, the published windows alone: as the run that it extends was evaluated on
            them, else as part of what was evaluated here. None where these have no Next period.
    """

    name: str
    stage: str
    windows: dict[int, Predictions]
    n_windows: int
    notes: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    standard: ExperimentPredictions | None = None

    @property
    def first(self) -> Predictions:
        """The first window there is: it speaks for what all windows share."""
        return self.windows[min(self.windows)]

    @property
    def ordinary(self) -> bool:
        """Whether each window's weights were trained on the windows of the evaluated data set up to it."""
        return _is_ordinary(self.windows)

    @property
    def foreign(self) -> bool:
        """Whether it is of one detector that no run of the protocol has trained."""
        return self.first.knowledge is not None

    @property
    def off_protocol(self) -> tuple[str, ...]:
        """Why any of its windows is off protocol; none where all keep to it."""
        return gathered(*(p.off_protocol for p in self.windows.values()))

    @property
    def title(self) -> str:
        """The name as it stands beside numbers, with the mark of what is off protocol."""
        return marked(self.name, self.off_protocol)

    @property
    def about(self) -> tuple[str, ...]:
        """What a reader must know of where the results come from, and the notes; one line each."""
        off = (told(self.off_protocol),) if self.off_protocol else ()
        return (*off, *self.origin, *_foreign_notes(self.first), *self.notes)

    @property
    def timeline(self) -> tuple[tuple[str, ...], ...]:
        """The generators that each window brings.

        Weights evaluated on other generators than those of their run bring, at each window, what the data set holds of
        it; a last window stands for all that they never saw.
        """
        return _timeline(self.windows)

    @property
    def has_next(self) -> bool:
        """Whether a headline exists: some window has a Next period."""
        return self.n_windows > 1


def load_experiment(folder: Path | str, stage: str = "validate") -> ExperimentPredictions:
    """Read ``window_<k>/predictions_<stage>_all.npz`` of an experiment's folder.

    Args:
        folder: such as ``experiments_data/experiment_quickstart``.
        stage: ``validate`` or ``test``.

    Raises:
        InputError: no such folder or stage, no predictions in it, a broken file, or windows that were not
            evaluated on the same images.
    """
    folder = Path(folder)
    if stage not in STAGES:
        raise InputError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}{nearest(stage, STAGES)}")
    if not folder.is_dir():
        raise InputError(f"no experiment folder {folder}{_sibling(folder)}")
    files = _files(folder, stage)
    windows = {k: load_predictions(path) for k, path in files.items()}
    if not windows:
        within = f"; give the experiment's folder, {folder.parent}" if any(folder.glob(predictions_file("*"))) else ""
        raise InputError(
            f"{folder}: no window_<k>/{predictions_file(stage)}{within or '; has the run evaluated a window?'}"
        )
    experiment = assemble(folder.name.removeprefix("experiment_"), stage, windows, str(folder))
    return replace(experiment, origin=_origin(files), standard=_standard(folder, experiment))


def _standard(folder: Path, extended: ExperimentPredictions) -> ExperimentPredictions | None:
    count = standard_windows(extended.timeline) if extended.ordinary else 0
    kept = folder / STANDARD_FOLDER
    windows = {k: load_predictions(path) for k, path in _files(kept, extended.stage).items()} if kept.is_dir() else {}
    if not windows:
        cut = extended.timeline[:count]
        windows = {k: replace(p, windows_timeline=cut) for k, p in extended.windows.items() if k < count}
    return assemble(extended.name, extended.stage, windows, str(kept)) if count > 1 and windows else None


def assemble(name: str, stage: str, windows: dict[int, Predictions], where: str) -> ExperimentPredictions:
    """Make an experiment of loaded windows.

    Raises:
        InputError: as of `load_experiment`.
    """
    first = windows[min(windows)]
    n_windows = len(_timeline(windows))
    for k, p in windows.items():
        if k >= n_windows:
            raise InputError(f"{where}: window_{k} exists, but the timeline has {n_windows} windows")
        if p.window not in (None, k):
            raise InputError(f"{where}: window_{k} holds the predictions of window {p.window}")
        difference = _difference(first, p)
        if difference:
            raise InputError(
                f"{where}: window_{k} and window_{min(windows)} differ in {difference}; "
                "windows of one experiment are evaluated on the same images"
            )
    missing = [k for k in range(n_windows) if k not in windows]
    notes = _notes_on_periods(windows)
    if missing and _is_ordinary(windows):
        notes.append(f"no {stage} predictions for window {', '.join(map(str, missing))} of 0..{n_windows - 1}")
    return ExperimentPredictions(name, stage, dict(sorted(windows.items())), n_windows, tuple(notes))


def record_path(predictions: Path) -> Path:
    """Where the record lies of what a result is of; a fit's own results have none."""
    return predictions.with_suffix(".json")


def read_record(predictions: Path) -> dict[str, Any] | None:
    """The record beside a result; None where there is none, as beside a fit's.

    Raises:
        InputError: it is damaged.
    """
    path = record_path(predictions)
    if not path.is_file():
        return None
    try:
        return dict(read_json(path))
    except InputError as error:
        raise InputError(f"{error}; remove it with the result beside it") from error


def _origin(files: dict[int, Path]) -> tuple[str, ...]:
    lines: dict[str, list[str]] = {}
    for k, path in files.items():
        record = read_record(path)
        if record is not None and not record.get("own"):
            weights, digest = Path(str(record.get("weights"))).name, str(record.get("weights_sha256"))[:8]
            lines.setdefault(f"{weights} ({digest}) on {record.get('data')}", []).append(str(k))
    places = {
        what: f"window {', '.join(ks)}" if len(ks) < max(len(files), 2) else "every window"
        for what, ks in lines.items()
    }
    return tuple(f"{places[what]}: no training's own result, but of {what}" for what in lines)


def _foreign_notes(p: Predictions) -> list[str]:
    notes = []
    if p.knowledge is not None:
        if p.seen_generators is None:
            told = "what it has seen is unknown, so no period is known to be unseen"
        else:
            seen = set(p.seen_generators)
            n = len(p.generator_id_to_name) - 1
            told = f"{p.knowledge}: {len(seen)} of {n} generators count as seen"
            held = [k for k, names in enumerate(p.windows_timeline[1:]) if seen.intersection(names)]
            if held:
                told += f"; Next holds such at window {', '.join(map(str, held))}"
        notes.append(f"not trained by the protocol, one detector at every window; {told}")
    if p.evaluation_steps is not None:
        notes.append(f"images scored {p.evaluation_steps}, without the mandatory evaluation steps")
    if p.rule_of_fusion().kind == "learned":
        notes.append("views were fused by a rule fitted on the Past period, whose numbers are thus in-sample")
    return notes


def _is_ordinary(windows: dict[int, Predictions]) -> bool:
    n_windows = len(windows[min(windows)].windows_timeline)
    return all(
        p.trained_windows is None
        or (
            k < n_windows
            and all(p.period_generators(name, k) == period_generators(name, p.windows_timeline, k) for name in PERIODS)
        )
        for k, p in windows.items()
    )


def _timeline(windows: dict[int, Predictions]) -> tuple[tuple[str, ...], ...]:
    last = max(windows)
    newest = windows[last]
    if newest.trained_windows is None or _is_ordinary(windows):
        return newest.windows_timeline
    names = [name for window in newest.windows_timeline for name in window]
    # what the weights had seen before their run stands with its first window
    before = len(newest.trained_windows) - last - 1
    rows = [set(row) for row in newest.trained_windows[max(before, 0) :]]
    rows = [set() for _ in range(-before)] + rows
    rows[0] |= {name for row in newest.trained_windows[: max(before, 0)] for name in row}
    seen = set().union(*rows)
    brought = [tuple(name for name in names if name in row) for row in rows]
    unseen = tuple(name for name in names if name not in seen)
    return (*brought, unseen) if unseen else tuple(brought)


def _notes_on_periods(windows: dict[int, Predictions]) -> list[str]:
    """Which generators belong to no period, because the weights could have seen them and did not."""
    left_out: dict[tuple[str, ...], list[int]] = {}
    for k, p in windows.items():
        if p.earlier_generators:
            left_out.setdefault(p.earlier_generators, []).append(k)
    return [
        f"unseen though released earlier, so in no period of window {', '.join(map(str, ks))}: {', '.join(names)}"
        for names, ks in left_out.items()
    ]


def check_same_periods(a: ExperimentPredictions, b: ExperimentPredictions) -> None:
    """Refuse to set results side by side whose periods hold different generators.

    Raises:
        InputError: at some window the weights of the two were trained on different generators.
    """
    for k in sorted(a.windows.keys() & b.windows.keys()):
        for period in PERIODS:
            ours, theirs = (e.windows[k].period_generators(period, k) for e in (a, b))
            if ours != theirs:
                raise InputError(
                    f"{a.name} and {b.name} were trained on different generators: at window {k} their "
                    f"{PERIOD_TITLES[period]} periods differ"
                )


def window_folder(folder: Path | str, window: int) -> Path:
    """Where a window of an experiment lies: its configuration names the folders' prefix."""
    return Path(folder) / f"{_prefix(Path(folder))}{window}"


@lru_cache(maxsize=64)
def _prefix(folder: Path) -> str:
    path = folder / CONFIG_FILE
    if not path.is_file():
        return "window_"
    return ResolvedConfig.from_file(path).experiment_info.window_name_prefix


def window_folders(folder: Path) -> dict[int, Path]:
    """The windows' folders that are there, by index, in order."""
    pattern = re.compile(rf"{re.escape(_prefix(folder))}(\d+)")
    matches = ((pattern.fullmatch(path.name), path) for path in folder.iterdir() if path.is_dir())
    return dict(sorted((int(match[1]), path) for match, path in matches if match))


def _files(folder: Path, stage: str) -> dict[int, Path]:
    paths = {k: window / predictions_file(stage) for k, window in window_folders(folder).items()}
    return {k: path for k, path in paths.items() if path.is_file()}


def _difference(a: Predictions, b: Predictions) -> str:
    # windows evaluated before there were keys go with later ones
    known = () if a.image_key is None or b.image_key is None else ("image_key",)
    foreign = ("knowledge", "seen_generators", "evaluation_steps")
    return a.first_difference(b, (*OF_ALL_WINDOWS, *foreign, "identifier", "pairing", *known))


def _sibling(folder: Path) -> str:
    if not folder.parent.is_dir():
        return ""
    known = [p.name for p in folder.parent.iterdir() if p.is_dir()]
    if f"experiment_{folder.name}" in known:
        return f"; did you mean {folder.parent / f'experiment_{folder.name}'}?"
    return nearest(folder.name, known)
