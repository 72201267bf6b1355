from __future__ import annotations

import pytest

from aigenbench.config.home import expand_home
from aigenbench.config.layer import argument_layer, get, layer
from aigenbench.yaml_text import Typed


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    "place",
    [
        "dataset_path",
        "ckpt_path",
        "weights_dir",
        "experiment_info.experiments_data_folder",
        "data.init_args.cache_folder",
        "data.init_args.predict_path",
        "data.init_args.timeline",
        "model.init_args.base_weights",
        "model.init_args.model_args.weights",
        "model.init_args.an_argument_of_ones_own",
        "trainer.default_root_dir",
        "checkpoint_callback.dirpath",
    ],
)
def test_every_path_of_a_config_may_begin_at_home(place):
    parts = place.split(".")
    written = "~/there"
    for part in reversed(parts):
        written = {part: written}
    assert get(layer("file", written).values, tuple(parts)) == "/home/me/there"
    assert get(argument_layer(place, "~/there").values, tuple(parts)) == "/home/me/there"


def test_paths_in_lists_too():
    callbacks = [{"class_path": "ModelCheckpoint", "init_args": {"dirpath": "~/kept"}}]
    values = layer("file", {"trainer": {"callbacks": callbacks}, "imports": ["~/mine.py", "a.module"]}).values
    assert values["trainer"]["callbacks"][0]["init_args"]["dirpath"] == "/home/me/kept"
    assert values["imports"] == ["/home/me/mine.py", "a.module"]


def test_a_path_at_the_top_and_in_the_loader_are_one():
    loader = {"class_path": "x.Y", "init_args": {"dataset_path": "/home/me/d"}}
    given = {"dataset_path": "~/d", "data": {"init_args": {"dataset_loader": loader}}}
    assert layer("file", given).values["dataset_path"] == "/home/me/d"


@pytest.mark.parametrize("text", ["a~/b", "~", "~b", "x", "./~/x", "~nobody-here/x", "", "~ /x"])
def test_other_text_stays(text):
    assert expand_home(text) == ("/home/me" if text == "~" else text)


def test_what_was_typed_stays_typed():
    assert isinstance(expand_home(Typed("~/x")), Typed)
    assert expand_home({"a": 3, "b": None, "c": [True]}) == {"a": 3, "b": None, "c": [True]}
