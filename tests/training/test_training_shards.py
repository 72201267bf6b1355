"""A run on Parquet shards is the run on the same images saved otherwise."""

from __future__ import annotations

from pathlib import Path

from training_harness import arguments, run

from aigenbench.data.demo import make_demo_data


def test_a_run_on_shards_is_the_run_on_the_saved_data_set(made, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    make_demo_data(saved, generators=2, train=4, validation=2)
    shards = made.shards(saved, tmp_path / "shards", row_group_size=3)
    left = []
    for data in (saved, shards):
        folder = tmp_path / f"run_{data.name}"
        code, _ = run(folder, arguments(data, folder, "--data.num_workers=2"))
        assert code == 0, (folder / "log.txt").read_text()[-3000:]
        windows = sorted((folder / "experiments_data" / "experiment_x").glob("window_*"))
        left.append([(w / "predictions_validate_all.npz").read_bytes() for w in windows])
    assert len(left[0]) == 2
    assert left[0] == left[1]
