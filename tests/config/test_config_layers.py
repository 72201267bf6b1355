from __future__ import annotations

import pytest

from aigenbench.config.layer import argument_layer, layer
from aigenbench.config.layers import merge_layers
from aigenbench.config.names import ADAPTERS, DATASET_LOADER, DETECTOR, PIPELINE
from aigenbench.errors import InputError

TAKES = {
    DETECTOR: {"model_name", "optimizer", "scheduler"},
    f"{ADAPTERS}.BaseDeepfakeDetectionModel": {"model_name", "optimizer", "scheduler"},
    PIPELINE: {"dataset_loader", "train_batch_size"},
    DATASET_LOADER: {"dataset_path"},
    "my.Pipeline": {"train_batch_size"},
    "my.Loader": {"folder"},
    "aigenbench.training.MetricsManager": set(),
}


def merged(*layers):
    return merge_layers(layers).settled(TAKES.get)


def test_nothing_given_is_the_defaults():
    assert merged() == {
        "trainer": {},
        "model": {"class_path": DETECTOR},
        "data": {
            "class_path": PIPELINE,
            "init_args": {"dataset_loader": {"class_path": DATASET_LOADER, "init_args": {"dataset_path": None}}},
        },
        "seed_everything": 42,
        "dataset_path": None,
    }


LOADER = {
    "data": {"init_args": {"dataset_loader": {"class_path": DATASET_LOADER, "init_args": {"dataset_path": "in"}}}}
}


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ([layer("pipeline", {"dataset_path": "a"}), layer("local", {"dataset_path": "b"})], "b"),
        ([layer("pipeline", {"dataset_path": "a"}), layer("local", LOADER)], "in"),
        ([layer("local", LOADER), layer("pipeline", {"dataset_path": "a"})], "a"),
        ([layer("local", LOADER), argument_layer("dataset_path", "c")], "c"),
        ([argument_layer("data.dataset_loader.dataset_path", "d")], "d"),
    ],
)
def test_the_last_dataset_path_counts_whatever_way_it_is_given(layers, path):
    config = merged(*layers)
    assert config["dataset_path"] == path
    assert config["data"]["init_args"]["dataset_loader"]["init_args"] == {"dataset_path": path}


def test_a_pipeline_or_loader_of_ones_own_gets_what_it_takes():
    config = merged(layer("x", {"dataset_path": "a", "data": "my.Pipeline"}))
    assert config["data"] == {"class_path": "my.Pipeline", "init_args": {}}
    config = merged(layer("x", {"dataset_path": "a", "data": {"dataset_loader": "my.Loader"}}))
    assert config["data"]["init_args"] == {"dataset_loader": {"class_path": "my.Loader"}}


def test_arguments_of_the_originals_that_have_no_use_are_a_warning(caplog):
    theirs = layer(
        "theirs.yaml",
        {
            "model": {
                "class_path": "algorithms.BaseDeepfakeDetectionModel",
                "init_args": {"model_name": "RN50", "old": 1},
            },
            "trainer": {
                "callbacks": [
                    {"class_path": "training_metrics.MetricsManager", "init_args": {"compute_mechanism": "x"}}
                ]
            },
        },
    )
    config = merged(theirs)
    assert config["model"]["init_args"] == {"model_name": "RN50"}
    assert config["trainer"]["callbacks"][0]["init_args"] == {}
    assert "theirs.yaml: model.init_args.old has no use here: left out" in caplog.text
    assert "trainer.callbacks.0.init_args.compute_mechanism has no use here" in caplog.text


def test_the_same_argument_under_our_own_name_is_kept_for_the_check():
    ours = layer("ours.yaml", {"model": {"class_path": DETECTOR, "init_args": {"old": 1}}})
    assert merged(ours)["model"]["init_args"] == {"old": 1}


MODEL = {"model": {"model_name": "RN50"}, "trainer": {"max_epochs": 3, "x": 1}, "data": {"train_batch_size": 8}}
PIPE = {"data": {"class_path": PIPELINE, "init_args": {"train_batch_size": 64}}, "trainer": {"max_epochs": 1}}


LOST = "model.yaml stands before pipeline.yaml, which overrides its trainer.max_epochs, data.init_args.train_batch_size"


def test_a_models_config_before_the_pipelines_is_refused_with_what_it_loses():
    with pytest.raises(InputError, match=f"{LOST}: give the pipeline's config first, or say --allow_config_order"):
        merged(layer("model.yaml", MODEL), layer("pipeline.yaml", PIPE))


def test_where_it_is_allowed_a_warning_names_them(caplog):
    both = [layer("model.yaml", MODEL), layer("pipeline.yaml", PIPE)]
    assert merge_layers(both, allow_order=True).unsettled["trainer"]["max_epochs"] == 1
    assert [record.getMessage() for record in caplog.records] == [LOST]


def test_what_only_the_original_needs_is_left_out_with_a_warning(caplog):
    given = layer("old.yaml", {"data": {"init_args": {"move_data_to_local_storage": True, "num_workers": 1}}})
    known = {"num_workers"}
    assert merge_layers([given]).settled(lambda _: known)["data"]["init_args"] == {"num_workers": 1}
    assert "data.init_args.move_data_to_local_storage has no use here: left out" in caplog.text
    caplog.clear()
    # a loader of one's own may take it
    known = {"num_workers", "move_data_to_local_storage"}
    assert merge_layers([given]).settled(lambda _: known)["data"]["init_args"]["move_data_to_local_storage"] is True
    assert not caplog.records


@pytest.mark.parametrize(
    "layers",
    [
        [layer("pipeline.yaml", PIPE), layer("model.yaml", MODEL)],
        # one's own settings may follow a model's
        [
            layer("model.yaml", MODEL),
            layer("local", {"data": {"train_batch_size": 4}, "experiment_info": {"experiment_id": 1}}),
        ],
        # nothing is lost
        [layer("model.yaml", MODEL), layer("pipeline.yaml", {**PIPE, "trainer": {}, "data": {"class_path": PIPELINE}})],
    ],
)
def test_no_warning_where_the_order_is_right_or_does_no_harm(layers, caplog):
    merged(*layers)
    assert not caplog.records


def test_imports_are_known_before_anything_else():
    layers = [layer("a", {"imports": ["x.py"]}), layer("b", {"imports": "y"}), argument_layer("imports+", "z")]
    assert merge_layers(layers).imports == ["y", "z"]
    assert merge_layers([]).imports == []


def test_a_value_is_traced_to_the_last_layer_that_gives_it():
    layers = [
        layer("a.yaml", {"trainer": {"max_epochs": 1, "logger": [{"class_path": "m.L", "init_args": {"x": 1}}]}}),
        argument_layer("trainer.max_epochs", "2"),
    ]
    source_of = merge_layers(layers).source_of
    assert source_of(("trainer", "max_epochs")) == " (on the command line)"
    assert source_of(("trainer", "logger", 0, "init_args", "x")) == " (in a.yaml)"
    assert source_of(("trainer", "nothing")) == ""
