from __future__ import annotations

import importlib.metadata
import sys

import pytest

from aigenbench.config.imports import import_file, run_imports
from aigenbench.errors import InputError


@pytest.fixture(autouse=True)
def own_process(monkeypatch, tmp_path):
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_file_is_a_module_named_after_it_and_runs_once(tmp_path):
    (tmp_path / "my_file_model.py").write_text("import sys\nsys.my_file_count = getattr(sys, 'my_file_count', 0) + 1\n")
    run_imports(["my_file_model.py", str(tmp_path / "my_file_model.py"), "./my_file_model.py"])
    assert "my_file_model" in sys.modules
    assert vars(sys)["my_file_count"] == 1


def test_files_of_the_same_name_do_not_replace_each_other(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text(f"place = {folder!r}\n")
    assert import_file(tmp_path / "a" / "same_name.py").place == "a"
    assert import_file(tmp_path / "b" / "same_name.py").place == "b"
    assert sys.modules["same_name"].place == "a"


def test_a_file_named_as_a_standard_module_leaves_that_alone(tmp_path):
    import json

    (tmp_path / "json.py").write_text("mine = 1\n")
    assert import_file(tmp_path / "json.py").mine == 1
    assert sys.modules["json"] is json


def test_modules_in_the_current_folder_are_found(tmp_path):
    (tmp_path / "module_here.py").write_text("x = 1\n")
    run_imports(["module_here"])
    assert sys.modules["module_here"].x == 1


def test_the_originals_imports_work_in_users_files(tmp_path):
    (tmp_path / "with_old_import.py").write_text("from algorithms.model_factory_registry import ModelFactoryRegistry\n")
    run_imports(["with_old_import.py"])
    from aigenbench.models import ModelFactoryRegistry

    assert sys.modules["with_old_import"].ModelFactoryRegistry is ModelFactoryRegistry


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os\nx = 1 / 0\n", r"ZeroDivisionError: division by zero \(broken.py, line 2\)"),
        ("def f(:\n", "SyntaxError: .*broken.py, line 1"),
        ("import nothing_of_that_name\n", r"No module named 'nothing_of_that_name' \(broken.py, line 1\)"),
    ],
)
def test_an_error_in_users_code_is_one_line_with_its_place(tmp_path, text, told):
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        run_imports(["broken.py"])
    assert "\n" not in str(caught.value)
    assert "broken" not in sys.modules


def test_what_is_not_there_is_told():
    with pytest.raises(InputError, match=r"no Python file to import at .*nothing\.py"):
        run_imports(["nothing.py"])
    with pytest.raises(InputError, match=r"cannot import the module 'nothing_at_all'.*ends in \.py"):
        run_imports(["nothing_at_all"])


class EntryPoint:
    name, value = "mine", "package:thing"

    def __init__(self, error=None):
        self.error, self.loaded = error, False

    def load(self):
        self.loaded = True
        if self.error:
            raise self.error


def test_installed_packages_register_their_models(monkeypatch):
    entry = EntryPoint()
    asked = []

    def entry_points(group):
        asked.append(group)
        return [entry]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    run_imports([])
    assert entry.loaded
    assert asked == ["aigenbench.models"]


def test_a_broken_entry_point_is_named(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [EntryPoint(KeyError("x"))])
    with pytest.raises(InputError, match="the entry point mine = package:thing: KeyError"):
        run_imports([])
