"""A sweep's file: which cells it asks for, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aigenbench.engine.sweep.file import label, read_sweep
from aigenbench.engine.sweep.space import Range
from aigenbench.errors import InputError

LR = {"model.lr": [0.1, 0.2]}


def test_cells_are_the_list_times_the_grid_times_the_seeds() -> None:
    file = read_sweep({"list": [{"a.b": 1}, {"a": {"b": 2, "c": {}}}], "grid": LR, "seeds": [1, 2]})
    assert file.cells == tuple(
        {**item, "model.lr": lr, "seed_everything": seed}
        for item in ({"a.b": 1}, {"a.b": 2, "a.c": {}})
        for lr in (0.1, 0.2)
        for seed in (1, 2)
    )
    assert label({"config": ["x/vit_tune.yaml", "y.yaml"], **file.cells[0]}) == "vit_tune+y, b 1, lr 0.1, seed 1"


def test_a_file_names_its_folder_or_its_own_name_does(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: {configs: a.yaml, overrides: {trainer: {max_epochs: 2}, model.lr: 1e-3}}\nseeds: [3]\n")
    file = read_sweep(path)
    assert (file.configs, file.overrides) == (("a.yaml",), {"trainer.max_epochs": 2, "model.lr": 1e-3})
    assert file.folder == Path("experiments_data/mine")
    assert read_sweep(path, "here").folder == Path("here")
    assert read_sweep({"seeds": [3], "folder": "there"}).folder == Path("there")


def test_a_search_has_ranges_and_choices() -> None:
    space = {
        "model.lr": {"low": 1e-4, "high": 0.1, "log": True},
        "x.n": {"low": 1, "high": 9, "step": 2},
        "y": [1, "a"],
    }
    search = read_sweep({"search": {"trials": 5, "space": space}, "seeds": [1, 2]}).search
    assert search is not None
    assert search.space == {"model.lr": Range(1e-4, 0.1, True), "x.n": Range(1, 9, False, 2), "y": (1, "a")}
    assert Range(1, 9).is_whole
    assert not Range(1.0, 9.0).is_whole


def search(**values: Any) -> dict[str, Any]:
    return {"search": {"trials": 2, "space": {"a.b": [1, 2]}, **values}}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"gird": {}}, "unknown key 'gird'; did you mean 'grid'?"),
        ({"base": {"config": []}, "seeds": [1]}, "base: unknown key 'config'; did you mean 'configs'?"),
        ({"base": {}}, "nothing varies: expected grid, list, seeds or search"),
        ({"grid": {}}, "grid is empty"),
        ({"grid": {"a.b": []}}, "grid: a.b: expected a list with a value or more, found []"),
        ({"grid": {"a.b": 3}}, "grid: a.b: expected a list with a value or more, found 3"),
        ({"grid": [1]}, "grid: expected a mapping of config keys, found [1]"),
        ({"list": []}, "list: expected a list with a value or more"),
        ({"list": [{}]}, "list: 0: expected a mapping of config keys"),
        ({"seeds": 3}, "seeds: expected a list with a value or more, found 3"),
        ({"list": [{"a": {"b": 1}}], "grid": {"a.b": [1]}}, "list: 0: a.b stands in the grid too"),
        ({"grid": {"seed_everything": [1]}, "seeds": [1]}, "grid: seed_everything and seeds are the same"),
        ({"grid": LR, **search()}, "search stands for grid and list"),
        (search(objective="Next"), "objective: Next looks at generators that are still to come"),
        (search(objective="growing_whole"), "objective: Whole looks at generators that are still to come"),
        (search(objective="auroc"), "objective: expected past, found 'auroc'"),
        (search(trails=3), "unknown key 'trails'; did you mean 'trials'?"),
        (search(trials=0), "trials: expected a whole number of at least 1, found 0"),
        (search(space={}), "space: expected config keys with what to try for each"),
        (search(space={"a": {"low": 2, "high": 1}}), "space: a: expected numbers with low below high"),
        (search(space={"a": {"low": 0, "high": 1, "log": True}}), "log: expected true, with low above 0"),
    ],
)
def test_what_is_wrong_is_told_by_name(values: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as told:
        read_sweep(values)
    assert line in str(told.value)


def test_a_missing_file_is_told_with_what_is_near() -> None:
    with pytest.raises(InputError, match=r"did you mean 'sweeps/paper_baselines.yaml'"):
        read_sweep("sweeps/paper_baseline.yaml")
