"""A user's own model: the documentation's example and the template, as files, by every way they become known."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

import aigenbench.models as room
from aigenbench.config.imports import import_file, run_imports
from aigenbench.models import ModelFactoryRegistry, build_model, preprocessing_of
from aigenbench.models.probe import Classifier

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "src/aigenbench/models/templates/your_model.py"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    with ModelFactoryRegistry().isolated():
        yield
    for name in set(sys.modules) - modules:
        if name.startswith(("my_", "your_")):
            del sys.modules[name]
    sys.path[:] = path


def documented() -> str:
    text = (ROOT / "docs/models.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return example


def test_documented_example_trains(tmp_path: Path) -> None:
    (tmp_path / "my_model.py").write_text(documented())
    run_imports([str(tmp_path / "my_model.py")])
    for name in ("my_cnn_tune", "mine/my_cnn_tune"):
        model = build_model(name, 1)
        model(torch.randn(2, 3, 32, 32)).sum().backward()
        assert all(p.grad is not None for p in model.parameters())
    assert len([line for line in documented().splitlines() if line.strip()]) <= 10


def test_documented_example_in_the_packages_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_added_model.py").write_text(documented())
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    monkeypatch.setattr(ModelFactoryRegistry, "_extensions_loaded", False)
    assert build_model("my_cnn_tune", 2)(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
    del sys.modules["aigenbench.models.my_added_model"]


@pytest.mark.parametrize("target", ["my_package:make_my_model", "my_package"])
def test_documented_example_as_an_entry_point(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package.py").write_text(documented())
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("mine", target, "aigenbench.models")
    monkeypatch.setattr("aigenbench.models.registry.entry_points", lambda group: [entry])
    monkeypatch.setattr(ModelFactoryRegistry, "_extensions_loaded", False)
    assert build_model("mine/my_cnn_tune", 2)(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


@pytest.mark.parametrize("suffix", ["_tune", "_probe", ""])
def test_template_works_as_it_is(suffix: str, tmp_path: Path) -> None:
    copy = tmp_path / "your_model.py"
    copy.write_text(TEMPLATE.read_text())
    import_file(copy)
    model = build_model(f"your_cnn{suffix}", 3, width=4)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 3)
    assert isinstance(model, Classifier) == (suffix == "_probe")
    own = preprocessing_of(model)
    assert own is not None
    assert own.mean == (0.5, 0.5, 0.5)
    if suffix == "_probe":
        assert list(model.state_dict()) == ["head.weight", "head.bias"]
        assert model.num_features == 16


def test_documented_names_exist() -> None:
    from aigenbench.models.catalogue import model_names

    known = {name.partition("/")[2] for name in model_names()}
    text = (ROOT / "docs/models.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith(("| `openai`", "| `openclip`", "| `dinov2`"))]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[2])} - {"_reg"}
    short = set(re.findall(r"`((?:dinov3|pe_core|siglip2|metaclip2)_[^`]+)`", text))
    assert len(named) == 9 + 10 + 4
    assert short
    assert named | short <= known


def test_commands_about_models_import_users_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from aigenbench.cli import main

    copy = tmp_path / "your_model.py"
    copy.write_text(TEMPLATE.read_text())
    imported = ["--import", str(copy)]
    for name in ("your_cnn", "your_cnn_probe", "yours/your_cnn_tune"):
        assert main(["models", "show", name, *imported, "--model-args", "{width: 4}"]) == 0
        shown = capsys.readouterr().out
        for text in (name, "features    16", "224 x 224", "what your factory loads", "0.5, 0.5, 0.5"):
            assert text in shown, shown
    assert main(["models", "show", "resnet18", *imported]) == 0
    assert "torchvision/resnet18" in capsys.readouterr().out
    assert main(["models", "list", "openai/RN50x4", *imported]) == 0
    captured = capsys.readouterr()
    assert captured.out.split() == ["openai/RN50x4"]
    assert f"yours/NAME is what your factory in {copy}:make_your_model answers to" in captured.err
    assert main(["models", "fetch", "yours/your_cnn", *imported]) == 2
    assert "nothing is to be fetched" in capsys.readouterr().err
    for argv, said in (
        (["show", "yours/your_cn"], "no model 'your_cn' in source 'yours'"),
        (["show", "yours/your_cnn", "--model-args", "{width: wide}"], f"({copy}:"),
        (["show", "your_cnn", "--model-args", "4"], "expected a mapping"),
        (["list", "--import", "nothere.py"], "no Python file to import"),
    ):
        assert main(["models", *argv, *([] if "nothere.py" in argv else imported)]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error


def test_a_module_without_features_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from aigenbench.cli import main

    (tmp_path / "my_model.py").write_text(documented())
    assert main(["models", "show", "my_cnn", "--import", str(tmp_path / "my_model.py")]) == 0
    assert "none: it cannot be a probe" in capsys.readouterr().out
