from __future__ import annotations

from typing import Any

import pytest

from aigenbench.config.experiment import ExperimentInfo, Head, SlidingWindows, experiment_info
from aigenbench.config.layer import layer
from aigenbench.errors import InputError
from aigenbench.yaml_text import Typed


def test_defaults_are_one_training_on_the_whole_data_set():
    assert experiment_info({}) == ExperimentInfo()
    assert experiment_info({"sliding_windows_definition": None}).sliding_windows_definition is None


def test_the_values_as_yaml_and_as_typed():
    windows = {"n_generators_per_window": Typed("2"), "current_window": Typed("3"), "benchmark_type": Typed("none")}
    info = experiment_info({"experiment_id": 7, "logging_initial_step": 5, "sliding_windows_definition": windows})
    assert info == ExperimentInfo("7", logging_initial_step=5, sliding_windows_definition=SlidingWindows(2, 3, "none"))
    assert experiment_info({"experiment_id": Typed("123_4")}).experiment_id == "123_4"
    assert experiment_info({"experiment_id": Typed("007")}).experiment_id == "007"
    none = experiment_info({"sliding_windows_definition": {"benchmark_type": None}})
    assert none.sliding_windows_definition == SlidingWindows(benchmark_type="none")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"experiment_idd": 1}, "unknown key experiment_info.experiment_idd; did you mean 'experiment_id'"),
        ({"experiment_idd": None}, "unknown key experiment_info.experiment_idd"),
        ({"xyz": 1}, "the keys are experiment_id, "),
        ({"experiment_id": "a/b"}, "without '/'"),
        ({"experiment_id": ""}, "without '/'"),
        ({"experiment_id": True}, "expected text or null, found True"),
        ({"experiment_id": [1]}, r"expected text or null, found \[1\]"),
        ({"logging_initial_step": -1}, "experiment_info.logging_initial_step: expected an integer from 0 on"),
        ({"logging_initial_step": 1.5}, "expected an integer, found 1.5"),
        ({"logging_initial_step": None}, "expected an integer, found None"),
        ({"sliding_windows_definition": 4}, "expected a mapping, found 4"),
        ({"sliding_windows_definition": {"n_generators": 4}}, "did you mean 'n_generators_per_window'"),
        ({"sliding_windows_definition": {"n_generators_per_window": 0}}, "integer from 1 on, found 0"),
        ({"sliding_windows_definition": {"current_window": -1}}, "integer from 0 on, found -1"),
        ({"sliding_windows_definition": {"current_window": Typed("x")}}, "an integer or null, found 'x'"),
        ({"sliding_windows_definition": {"benchmark_type": "cumulativ"}}, "did you mean 'cumulative'"),
    ],
)
def test_anything_wrong_is_told_with_the_key(values, told):
    with pytest.raises(InputError, match=told):
        experiment_info(values)


def test_the_source_stands_before_the_key():
    with pytest.raises(InputError, match=r"^my\.yaml: unknown key experiment_info\.x;"):
        experiment_info({"x": 1}, "my.yaml")


def test_no_generators_a_window_where_there_are_no_windows():
    info = experiment_info({"sliding_windows_definition": {"n_generators_per_window": 0, "benchmark_type": "none"}})
    assert info.sliding_windows_definition is not None
    assert info.sliding_windows_definition.n_generators_per_window == 0
    with pytest.raises(InputError, match="integer from 1 on, found 0"):
        SlidingWindows(n_generators_per_window=0)


@pytest.mark.parametrize(
    "kinds", [("benchmark_type", "n_generators_per_window"), ("n_generators_per_window", "benchmark_type")]
)
def test_which_may_stand_in_two_layers(kinds):
    values = {"n_generators_per_window": 0, "benchmark_type": "none"}
    for key in kinds:
        layer("file", {"experiment_info": {"sliding_windows_definition": {key: values[key]}}})
    with pytest.raises(InputError, match="integer from 1 on, found 0"):
        layer(
            "file",
            {"experiment_info": {"sliding_windows_definition": {**values, "benchmark_type": "cumulative"}}},
        )


@pytest.mark.parametrize("value", [{"lr": -0.1}, {"weight_decay": -1.0}, {"lr": float("nan")}])
def test_a_head_takes_no_negative_values(value):
    with pytest.raises(InputError, match="expected a number from 0 on"):
        Head(**value)


@pytest.mark.parametrize("given", ["text", ["a"], 3])
def test_a_section_that_is_no_mapping(given: Any) -> None:
    with pytest.raises(InputError, match="there: experiment_info: expected a mapping, found"):
        experiment_info(given, "there")
