"""The command line: every command with arguments dropped, doubled, swapped and replaced."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import os
import random
import tempfile
from pathlib import Path

from evaluation_honest import COLUMNS, write_honest

from fuzz.structures import ODD_TEXTS

LINES = (
    "score EXPERIMENT --stage validate --json --replicates 3",
    "score EXPERIMENT --plot curves.png --threshold 0.5",
    "compare EXPERIMENT OTHER --replicates 3 --by-row --json",
    "report EXPERIMENT -o report.html --replicates 3 --stage validate",
    "report EXPERIMENT OTHER --replicates 3 --seeds",
    "submission make EXPERIMENT -o bundle.zip --card card.yaml",
    "submission verify bundle.zip --per-generator 3 --columns COLUMNS",
    "submission import scores.csv --columns COLUMNS -o imported",
    "leaderboard build EXPERIMENT -o site --per-generator 3 --replicates 3",
    "data windows COLUMNS --json --ids --n-generators-per-window 4 --train-subset-size 0.5 --timeline timeline.yaml",
    "data audit COLUMNS --strict --workers 1 --against list.csv",
    "data import EXPERIMENT -o imported --workers 1 --seed 3 --validation 0.2 --pattern {split}/{generator}/*.png",
    "data cache build --config small_cnn/small_cnn_tune_resize.yaml --data.cache all --dataset_path nowhere",
    "models list --json",
    "models show RN50_tune",
    "fit --config small_cnn/small_cnn_tune_resize.yaml --trainer.max_epochs 2 --dataset_path nowhere",
    "validate --config small_cnn/small_cnn_tune_resize.yaml --experiment_info.experiment_id x --dataset_path nowhere",
    "predict EXPERIMENT --weights final.ckpt -o scores.csv --window 1 --device cpu",
    "robustness EXPERIMENT --windows 0,1 --families jpeg",
)
ODD = (
    *ODD_TEXTS,
    "-1",
    "1e999",
    "nan",
    "9" * 5000,
    "{}",
    "[",
    "!!python/object:os.system",
    "--",
    "-",
    "/dev/null",
    "~nobody",
)


def cases(rng: object) -> object:
    """One command line, as it is typed."""
    drawn = random.Random(int(rng.integers(2**63)))  # type: ignore[attr-defined]
    words = drawn.choice(LINES).split()
    for _ in range(drawn.choice((0, 1, 1, 2, 4))):
        at = drawn.randrange(len(words))
        how = drawn.random()
        if how < 0.4:
            words[at] = drawn.choice(ODD)
        elif how < 0.55 and len(words) > 1:
            del words[at]
        elif how < 0.7:
            words.insert(at, words[at])
        elif how < 0.85:
            words.insert(at, drawn.choice((*ODD, *drawn.choice(LINES).split())))
        else:
            name, _, value = words[at].partition("=")
            words[at] = f"{name}={drawn.choice((value, *ODD))}"
    yield words


@functools.cache
def _kept() -> Path:
    """Two experiments and a columns file that the commands may read; what a run imports takes seconds, once."""
    importlib.import_module("aigenbench.training.loop.commands")
    folder = Path(tempfile.mkdtemp(prefix="fuzz_arguments"))
    for seed, name in enumerate(("EXPERIMENT", "OTHER")):
        write_honest(folder / name, seed=seed)
    (folder / "COLUMNS").with_suffix(".json").write_text(json.dumps({"train": COLUMNS, "validation": COLUMNS}))
    return folder


def check(words: list[str]) -> None:
    """Give them to the front of the command line, in a folder of their own."""
    from aigenbench.cli import main
    from aigenbench.errors import InputError

    kept = _kept()
    names = {"EXPERIMENT": kept / "EXPERIMENT", "OTHER": kept / "OTHER", "COLUMNS": kept / "COLUMNS.json"}
    argv = [str(names.get(word, word)) for word in words]
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as here, contextlib.chdir(here):
        os.environ.update(HF_HUB_OFFLINE="1", XDG_STATE_HOME=here)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            try:
                code = main(argv)
            except SystemExit as stopped:
                code = int(stopped.code or 0)
    if code == 2:
        raise InputError(said.getvalue().strip().rpartition("\n")[2] or "nothing said")
    if code not in (0, 1):
        raise RuntimeError(f"exit code {code}")
