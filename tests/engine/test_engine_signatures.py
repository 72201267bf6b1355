from __future__ import annotations

import importlib
import sys
import types

import pytest

from aigenbench.config.names import OURS
from aigenbench.engine.assembly import signatures
from aigenbench.engine.assembly.signatures import check_keys, find_class, parameters, parameters_of
from aigenbench.errors import InputError


class Base:
    def __init__(self, size: int | tuple[int, int] = 3, name: str | None = None) -> None:
        pass


class Passing(Base):
    def __init__(self, extra: float, untyped="x", **kwargs) -> None:
        super().__init__(**kwargs)


class Bare:
    pass


def a_function(size: int = 3) -> Base:
    return Base(size)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    made = types.ModuleType("made_classes")
    for thing in (Base, Passing, Bare, a_function):
        setattr(made, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "made_classes", made)
    return made


def test_arguments_that_are_passed_on_belong_to_a_class():
    assert parameters(Base).defaults == {"size": 3, "name": None}
    assert set(parameters(Passing).defaults) == {"extra", "untyped", "size", "name"}
    assert parameters(Bare).defaults == {}


def test_functions_take_what_they_take():
    assert parameters_of("made_classes.Passing") == {"extra", "untyped", "size", "name"}
    assert parameters_of("made_classes.a_function") == {"size"}


@pytest.mark.parametrize("name", ["CSVLogger", "LearningRateMonitor", "DDPStrategy", "AdamW", "AIGenBenchPipeline"])
def test_bare_names_are_found_in_their_usual_places(name):
    found = find_class(name)
    assert found is not None
    assert found.__name__ == name


@pytest.mark.parametrize("path", OURS.values())
def test_what_stands_for_a_name_of_the_original_exists(path):
    module, _, name = path.rpartition(".")
    # a factory is no class
    found = find_class(path) or getattr(importlib.import_module(module), name)
    assert found.__name__ == path.rpartition(".")[2]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("made_classes.Basse", r"no class 'made_classes.Basse': made_classes has no 'Basse'; did you mean 'Base'"),
        ("nowhere.Base", "ModuleNotFoundError: No module named 'nowhere'"),
        ("CSVLoger", "did you mean 'CSVLogger'"),
        ("aigenbench.training.SoftTrain", "aigenbench.training has no 'SoftTrain'"),
    ],
)
def test_a_class_that_is_not_there_is_told(path, told):
    with pytest.raises(InputError, match=told):
        find_class(path)


def test_a_module_that_fails_is_told_with_its_place(tmp_path, monkeypatch):
    (tmp_path / "fails_on_import.py").write_text("\nraise OSError('no disk')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"OSError: no disk \(fails_on_import.py, line 2\)"):
        find_class("fails_on_import.Thing")


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ({"class_path": "made_classes.Passing", "init_args": {"nmae": None}}, "unknown key k.init_args.nmae FROM; did"),
        ({"class_path": "made_classes.Bare", "init_args": {"x": 1}}, "Bare has no such argument"),
        ({"class_path": "made_classes.Base", "init_arg": {}}, "unknown key k.init_arg FROM; did you mean 'init_args'"),
    ],
)
def test_unknown_keys_are_found_wherever_classes_stand(node, told):
    with pytest.raises(InputError, match=told):
        check_keys({"k": node}, lambda place: " FROM")
    nested = {"class_path": "made_classes.Base", "init_args": {"name": [node]}}
    with pytest.raises(InputError, match=r"k\.init_args\.name\.0\."):
        check_keys({"k": nested}, lambda place: "")


def test_what_a_function_takes_is_left_to_it():
    check_keys({"k": {"class_path": "made_classes.a_function", "init_args": {"whatever": 1}}}, lambda place: "")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("size", "abc", "expected int or tuple, found 'abc'"),
        ("name", 5, "expected text or null, found 5"),
        ("extra", "x", "expected float, found 'x'"),
        ("size", 4, ""),
        ("size", [1, 2], ""),
        ("untyped", object, ""),
    ],
)
def test_the_problem_with_one_value(key, value, told):
    assert signatures._problem(Passing, key, value) == told
