from __future__ import annotations

from pathlib import Path

import pytest

from aigenbench.config.layer import argument_layer, file_layer, layer
from aigenbench.config.names import ADAPTERS, DATASET_LOADER
from aigenbench.errors import InputError


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "my.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_short_forms_are_written_out():
    values = layer(
        "x", {"model": {"model_name": "RN50", "optimizer": {"lr": 0.1}}, "data": {"train_batch_size": 8}}
    ).values
    assert values["model"] == {"init_args": {"model_name": "RN50", "optimizer": {"init_args": {"lr": 0.1}}}}
    assert values["data"] == {"init_args": {"train_batch_size": 8}}


def test_a_class_may_be_named_by_text():
    values = layer(
        "x",
        {
            "model": "algorithms.BaseDeepfakeDetectionModel",
            "data": {"dataset_loader": "lightning_data_modules.datasets.AIGenBenchDatasetLoader"},
            "trainer": {"logger": "CSVLogger", "callbacks+": ["training_metrics.MetricsManager", "a.B"]},
        },
    ).values
    assert values["model"] == {"class_path": f"{ADAPTERS}.BaseDeepfakeDetectionModel"}
    assert values["data"]["init_args"]["dataset_loader"] == {"class_path": f"{ADAPTERS}.AIGenBenchDatasetLoader"}
    assert values["trainer"]["logger"] == {"class_path": "CSVLogger"}
    manager = {"class_path": "aigenbench.training.MetricsManager"}
    assert values["trainer"]["callbacks+"] == [manager, {"class_path": "a.B"}]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("AdamW", {"class_path": "torch.optim.AdamW"}),
        ("my.Opt", {"class_path": "my.Opt"}),
        ({"class_path": "Adam", "lr": 1}, {"class_path": "torch.optim.Adam", "init_args": {"lr": 1}}),
        ("my_module.make_optimizer", "my_module.make_optimizer"),
        ("my_module._make", "my_module._make"),
    ],
)
def test_an_optimizer_is_a_class_a_name_in_torch_or_a_function(written, meant):
    assert layer("x", {"model": {"optimizer": written}}).values["model"]["init_args"]["optimizer"] == meant


@pytest.mark.parametrize("value", [True, False, None, []])
def test_loggers_may_be_switched(value):
    assert layer("x", {"trainer": {"logger": value}}).values["trainer"]["logger"] == value


def test_a_typed_false_is_no_class():
    assert argument_layer("trainer.logger", "false").values["trainer"]["logger"].value is False
    assert argument_layer("trainer.logger", "CSVLogger").values["trainer"]["logger"] == {"class_path": "CSVLogger"}


def test_the_loaders_dataset_path_moves_to_the_top():
    loader = {"class_path": DATASET_LOADER, "init_args": {"dataset_path": "a"}}
    assert layer("x", {"data": {"init_args": {"dataset_loader": loader}}}).values["dataset_path"] == "a"
    assert argument_layer("data.dataset_loader.dataset_path", "b").values["dataset_path"] == "b"
    both = {"dataset_path": "a", "data": {"dataset_loader": loader}}
    assert layer("x", both).values["dataset_path"] == "a"
    assert layer("x", {**both, "dataset_path": None}).values["dataset_path"] == "a"
    with pytest.raises(InputError, match="x: dataset_path is 'c' at the top but 'a' in the dataset_loader"):
        layer("x", {**both, "dataset_path": "c"})


def test_paths_start_at_home_and_numbers_are_text():
    assert layer("x", {"dataset_path": "~/data"}).values["dataset_path"] == str(Path("~/data").expanduser())
    assert layer("x", {"ckpt_path": 5}).values["ckpt_path"] == "5"
    assert argument_layer("dataset_path", "2024").values["dataset_path"] == "2024"


@pytest.mark.parametrize(("written", "seed"), [(7, 7), (True, 42), (0, 0)])
def test_the_seed(written, seed):
    assert layer("x", {"seed_everything": written}).values["seed_everything"] == seed
    assert argument_layer("seed_everything", str(written).lower()).values["seed_everything"] == seed


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"tariner": {}}, "x: unknown key 'tariner'; did you mean 'trainer'"),
        ({"tariner": None}, "unknown key 'tariner'"),
        ({"zzz": 1}, "the sections are trainer, "),
        ({7: 1}, "unknown key 7"),
        ({"trainer": 5}, "x: trainer: expected a mapping, found 5"),
        ({"trainer": []}, "trainer: expected a mapping"),
        ({"model": 3}, "model: expected a mapping, found 3"),
        ({"dataset_path": ["a"]}, "dataset_path: expected a path"),
        ({"dataset_path": True}, "dataset_path: expected a path"),
        ({"seed_everything": "x"}, "seed_everything: expected an integer from 0 on, found 'x'"),
        ({"seed_everything": False}, "always seeded"),
        ({"seed_everything": -1}, "found -1"),
        ({"model": {"lr": 1, "init_args": {"lr": 2}}}, "are the same argument"),
        ({"model": {"init_args": 3, "lr": 2}}, "model.init_args: expected a mapping"),
        ({"experiment_info": {"x": 1}}, "x: unknown key experiment_info.x"),
    ],
)
def test_a_wrong_section_is_told(values, told):
    with pytest.raises(InputError, match=told):
        layer("x", values)


@pytest.mark.parametrize("text", ["", "# nothing\n", "trainer:\nmodel:\ndata:\nexperiment_info:\n"])
def test_an_empty_file_or_section_gives_nothing(file, text):
    assert not any(file_layer(file(text)).values.values())


@pytest.mark.parametrize("text", ["- a\n", "5\n", "text\n"])
def test_a_file_that_is_no_mapping_is_told(file, text):
    with pytest.raises(InputError, match="expected a mapping with sections"):
        file_layer(file(text))


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "my.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-16 text"):
        file_layer(str(tmp_path / "my.yaml"))


def test_files_to_import_are_found_beside_the_config(file, tmp_path, monkeypatch):
    path = file("imports: [mine.py, there.py, package.module]\n")
    (tmp_path / "mine.py").write_text("")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    Path("there.py").write_text("")
    (tmp_path / "there.py").write_text("")
    found = file_layer(path).values["imports"]
    assert found == [str((tmp_path / "mine.py").resolve()), "there.py", "package.module"]


def test_one_argument_is_a_layer():
    assert argument_layer("trainer.callbacks+", "[{class_path: a.B}]").values == {
        "trainer": {"callbacks+": [{"class_path": "a.B"}]}
    }
    assert argument_layer("model.base_weights", "null").values["model"]["init_args"] == {"base_weights": None}
    with pytest.raises(InputError, match="a part of the key is empty"):
        argument_layer("trainer..x", "1")


def test_the_places_of_the_originals_classes_are_kept():
    made = layer("x", {"data": {"dataset_loader": "lightning_data_modules.datasets.AIGenBenchDatasetLoader"}})
    assert made.renamed == (("data", "init_args", "dataset_loader"),)


def test_a_class_path_that_is_a_list_is_left_to_whoever_looks_for_the_class():
    assert layer("here", {"model": {"class_path": ["a"]}}).values["model"]["class_path"] == ["a"]


def test_timeline_stands_at_the_top_too():
    expected = {"init_args": {"timeline": "own.yaml", "num_workers": 3}}
    assert layer("x", {"timeline": "own.yaml", "data": {"num_workers": 3}}).values == {"data": expected}
    assert argument_layer("timeline", "own.yaml").values == {"data": {"init_args": {"timeline": "own.yaml"}}}
    assert argument_layer("timeline", "").values == {"data": {"init_args": {"timeline": None}}}
    with pytest.raises(InputError, match="x: timeline is 'a' at the top but 'b' in data"):
        layer("x", {"timeline": "a", "data": {"timeline": "b"}})
    with pytest.raises(InputError, match="timeline: expected a path, found True"):
        layer("x", {"timeline": True})
