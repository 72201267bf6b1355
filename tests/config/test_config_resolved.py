from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.resolved import FREE_TO_CHANGE, ResolvedConfig
from aigenbench.errors import InputError

VALUES = {
    "trainer": {"max_epochs": 1, "logger": [{"class_path": "m.L", "init_args": {"x": 1}}]},
    "experiment_info": {"experiment_id": "a"},
    "imports": [],
}


def changed(**sections):
    return ResolvedConfig({**VALUES, **sections})


def test_nothing_in_it_can_be_changed():
    config = ResolvedConfig(VALUES)
    with pytest.raises(TypeError):
        config["trainer"]["max_epochs"] = 2
    with pytest.raises(TypeError):
        config["trainer"]["logger"][0]["init_args"]["x"] = 2
    config.to_dict()["trainer"]["max_epochs"] = 2
    assert config.to_dict() == VALUES


def test_it_reads_back_equal(tmp_path):
    config = ResolvedConfig(VALUES)
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert ResolvedConfig.from_file(tmp_path / "c.yaml") == config
    (tmp_path / "d.yaml").write_text("5")
    with pytest.raises(InputError, match="expected the resolved config of a run"):
        ResolvedConfig.from_file(tmp_path / "d.yaml")


def test_the_experiment_is_typed():
    assert ResolvedConfig(VALUES).experiment_info == ExperimentInfo("a")
    assert ResolvedConfig({"experiment_info": None}).experiment_info == ExperimentInfo()


def test_differences_are_lines_by_key():
    other = changed(
        trainer={"max_epochs": 2, "logger": []}, model={"class_path": "m.M"}, experiment_info={"experiment_id": "b"}
    )
    assert ResolvedConfig(VALUES).differences(other, free=()) == [
        "experiment_info.experiment_id: a -> b",
        "model.class_path: (none) -> m.M",
        "trainer.logger: (none) -> []",
        "trainer.logger.0.class_path: m.L -> (none)",
        "trainer.logger.0.init_args.x: 1 -> (none)",
        "trainer.max_epochs: 1 -> 2",
    ]


def test_what_does_not_change_results_may_differ():
    other = changed(trainer={"max_epochs": 2, "logger": False}, experiment_info={"experiment_id": "b"})
    assert ResolvedConfig(VALUES).differences(other) == ["trainer.max_epochs: 1 -> 2"]


@pytest.mark.parametrize(
    "key",
    [
        "model.init_args.model_name",
        "data.init_args.train_batch_size",
        "data.init_args.augmentations_base_seed",
        "trainer.accumulate_grad_batches",
        "trainer.precision",
        "seed_everything",
        "experiment_info.sliding_windows_definition.benchmark_type",
    ],
)
def test_what_changes_results_is_not_free(key):
    assert not any(key == free or key.startswith(f"{free}.") for free in FREE_TO_CHANGE)


def test_null_is_as_good_as_absent():
    assert changed(ckpt_path=None, weights_dir=None).differences(ResolvedConfig(VALUES), free=()) == []


TREES = st.recursive(
    st.integers(0, 3) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), TREES), st.dictionaries(st.sampled_from("abc"), TREES))
def test_there_are_no_differences_exactly_where_configs_are_equal(left, right):
    one, two = ResolvedConfig(left), ResolvedConfig(right)
    assert (one.differences(two, free=()) == []) == (left == right)
    assert len(one.differences(two)) == len(two.differences(one))
