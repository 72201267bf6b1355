from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from evaluation_made_up import made_up
from scipy.stats import t

from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import assemble
from aigenbench.evaluation.report.page import render
from aigenbench.evaluation.report.results import ExperimentResults, make_run
from aigenbench.evaluation.report.seeds import over_seeds, recipe_of, seed_groups, seed_of, seeds_table
from aigenbench.evaluation.report.together import put_together
from aigenbench.evaluation.report.view import make_view
from aigenbench.evaluation.statistics.uncertainty import Effort


def config(seed: int, name: str = "a", lr: float = 0.1, workers: int = 0) -> str:
    return yaml.safe_dump(
        {
            "seed_everything": seed,
            "experiment_info": {"experiment_id": name, "sliding_windows_definition": {"n_generators_per_window": 4}},
            "trainer": {"logger": [{"class_path": name}], "max_epochs": 1},
            "model": {"init_args": {"optimizer": {"init_args": {"lr": lr}}}},
            "data": {"init_args": {"num_workers": workers, "dataset_loader": {"dataset_path": name}}},
        }
    )


def trained(name: str, seed: int, text: str | None = None, windows: int = 3) -> ExperimentResults:
    predictions = {k: made_up(window=k, seed=seed) for k in range(windows)}
    text = config(seed, name) if text is None else text
    return make_run(assemble(name, "validate", predictions, name), {}, text, Effort(10, 5))


def test_students_interval() -> None:
    values = [0.7, 0.75, 0.71, 0.78]
    mean, interval = over_seeds(values)
    assert mean == pytest.approx(np.mean(values))
    expected = t.interval(0.95, 3, np.mean(values), np.std(values, ddof=1) / 2)
    assert interval == pytest.approx(expected)
    assert over_seeds([0.99, 0.8])[1][1] == 1.0
    assert over_seeds([0.7, None])[0] is None
    assert over_seeds([0.7])[0] == 0.7
    assert np.isnan(over_seeds([0.7])[1]).all()
    assert over_seeds([None, None])[0] is None


def test_the_interval_covers_the_mean_of_ever_more_seeds() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(0.8, 0.02, (1000, 3))
    covered = sum(low <= 0.8 <= high for _, (low, high) in (over_seeds(row.tolist()) for row in drawn))
    assert 930 <= covered <= 970


def test_a_recipe_is_the_configuration_but_for_seed_name_and_place() -> None:
    assert recipe_of(config(1, "a", workers=0)) == recipe_of(config(2, "b", workers=4))
    assert recipe_of(config(1, "a", lr=0.2)) != recipe_of(config(1, "a"))
    # keys of YAML may be numbers beside text
    assert recipe_of("seed_everything: 1\nmodel: {a: 1, .nan: 2, 3: [{4: x, y: z}]}")
    assert recipe_of("") is None
    assert recipe_of("a: [") is None
    assert recipe_of("model: {}") is None
    assert seed_of(config(7)) == 7
    assert seed_of("") is None


def test_groups_are_found_by_their_configurations() -> None:
    a, b, again = trained("a", 1), trained("b", 2), trained("again", 1)
    other = trained("other", 3, config(3, "other", lr=0.2))
    (group,) = seed_groups([a, b, other])
    assert [run.name for run in group.runs] == ["a", "b"]
    assert group.seeds == (1, 2)
    assert seed_groups([a, again]) == ()
    assert [run.name for run in seed_groups([a, again, b])[0].runs] == ["a", "b"]
    assert seed_groups([a, trained("unknown", 2, "")]) == ()


def test_what_the_user_declares_is_checked() -> None:
    a, unknown = trained("a", 1), trained("unknown", 2, "")
    (group,) = seed_groups([a, unknown], declared=True)
    assert group.seeds == (1, None)
    with pytest.raises(InputError, match="needs two experiments"):
        seed_groups([a], declared=True)
    with pytest.raises(InputError, match="a and again both have seed 1: one training, not two"):
        seed_groups([a, trained("again", 1)], declared=True)
    windows = {k: made_up(10, window=k, seed=2) for k in range(3)}
    smaller = make_run(assemble("smaller", "validate", windows, "smaller"), {}, "", Effort(10, 5))
    with pytest.raises(InputError, match="a and smaller differ in identifier"):
        seed_groups([a, smaller], declared=True)


def test_means_are_over_the_windows_that_all_runs_have() -> None:
    a, b = trained("a", 1), trained("b", 2, windows=1)
    (group,) = seed_groups([a, b])
    coming = [run.scores["periods"]["immediate_future"]["auroc"] for run in (a, b)]
    assert group.means("immediate_future") == [coming[0][0], coming[1][0]]
    assert seeds_table(group).rows[1][2].text == "-"


def test_the_table_and_the_page_name_the_interval_for_what_it_is() -> None:
    runs = [trained("a", 1), trained("b", 2), trained("c", 3, windows=2)]
    (group,) = seed_groups(runs)
    table = seeds_table(group)
    values = [run.scores["periods"]["immediate_future"]["auroc"][0] for run in runs]
    assert table.rows[0][2].value == pytest.approx(np.mean(values))
    assert table.rows[0][4].value == pytest.approx(np.std(values, ddof=1))
    assert table.rows[2][1].text == "-"
    headlines = [run.scores["headline"]["mean"] for run in runs]
    assert group.headline[0] == pytest.approx(np.mean(headlines))
    assert table.rows[-1][2].value == pytest.approx(np.mean(headlines))
    views = [make_view(run, i) for i, run in enumerate(runs)]
    page = render(views, put_together(views))
    assert page.count("mean of 3</dd>") == 1
    assert "Other seeds: mean AUROC (%) of a, b, c" in page
    assert "told of each training" in page
    assert "one training only" not in page
    alone = make_view(replace(runs[0], config=""))
    assert "one training only" in render([alone])
