from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aigenbench import files
from aigenbench.cli import fit
from aigenbench.config import layers
from aigenbench.config.packaged import packaged_folder
from aigenbench.engine.assembly import request, resolution
from aigenbench.errors import InputError


def test_a_start_reads_merges_and_parses_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = ["benchmark_pipelines/base_benchmark_sliding_windows.yaml", "small_cnn/small_cnn_tune_resize.yaml"]
    own = tmp_path / "own.yaml"
    # a class that changes asks what it takes
    own.write_text(
        "model: {optimizer: AdamW}\ntrainer: {logger: false, callbacks: [], accelerator: cpu, precision: 32}\n"
    )
    counted: Counter[str] = Counter()

    def count(place: Any, name: str, key: Any = None) -> None:
        function = getattr(place, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            counted[key(*args) if key else name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(place, name, counting)

    count(files, "open_regular", str)
    count(request, "merge_layers")
    count(layers, "merge")
    count(layers, "settle")
    count(resolution, "parse")
    typed = [f"--config={name}" for name in (*packaged, own)] + ["--dataset_path=nowhere"]
    with pytest.raises(InputError, match="nowhere"):
        fit.run(typed, "fit")
    for path in (*(packaged_folder() / name for name in packaged), own):
        assert counted[str(path)] == 1
    assert {name: counted[name] for name in ("merge_layers", "merge", "settle", "parse")} == {
        "merge_layers": 1,
        "merge": 4,  # a layer each
        "settle": 1,
        "parse": 1,
    }
