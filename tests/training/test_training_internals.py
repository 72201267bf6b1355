"""Private parts of Lightning, torchmetrics and torch: in one place, and asked for before a run."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from lightning.pytorch.loops import fit_loop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch.distributed import distributed_c10d
from torchmetrics import Metric

from aigenbench.errors import InputError
from aigenbench.training.lightning import internals
from aigenbench.training.lightning.trainer_check import check_trainer

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "aigenbench"
INTERNALS = Path(internals.__file__)
ELSEWHERE = {
    # these two rooms do not know Lightning
    "training/processes/collectives.py": {"_get_default_store"},
    "data/samples/collation.py": {"_new_shared"},
    # what every subclass of nn.Module may override, and what a state dict carries
    "models/probe.py": {"_apply"},
    "training/original/probe.py": {"_apply"},
    "models/sources/base.py": {"_metadata"},
    # other packages'
    "models/sources/clip_towers.py": {"_build_vision_tower"},
    "data/samples/randomness.py": {"_rand", "_bit_generator"},
}
IMPORTS = re.compile(r"(?m)^\s*(?:from|import) (?:torch|lightning)")


ASKED = {name for parts in internals._PARTS.values() for part in parts for name in part.split(".")}


def defined(tree: ast.AST) -> set[str]:
    """Functions, classes, class attributes, and attributes that are set on an own object."""
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names |= {node.attr} if isinstance(node.value, ast.Name) and node.value.id == "self" else set()
        if isinstance(node, ast.ClassDef):
            names |= {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}  # type: ignore[union-attr]
    return names - ASKED


def foreign_private_names(tree: ast.AST, ours: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("aigenbench"):
            private = "._" in (node.module or "")
            yield from (one.name for one in node.names if private or one.name.startswith("_"))
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr) and node.attr not in ours:
            yield node.attr


def test_private_parts_are_touched_in_one_file() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py") if path != INTERNALS}
    ours = set.union(*(defined(tree) for tree in trees.values())) | {"_replace", "_exit", "_notes_outputs_for"}
    found = {
        str(path.relative_to(SOURCE)): names
        for path, tree in trees.items()
        if IMPORTS.search(path.read_text(encoding="utf-8")) and (names := set(foreign_private_names(tree, ours)))
    }
    assert {path: names - ELSEWHERE.get(path, set()) for path, names in found.items()} == {
        path: set() for path in found
    }


def test_every_private_part_is_asked_for() -> None:
    tree = ast.parse(INTERNALS.read_text(encoding="utf-8"))
    imported = {one.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for one in node.names}
    touched = set(foreign_private_names(tree, set()))
    assert len(touched) > 15
    assert touched <= ASKED | imported
    for path in ("training/processes/collectives.py", "data/samples/collation.py"):
        assert ELSEWHERE[path] <= ASKED


@pytest.mark.parametrize(
    ("owner", "name", "line"),
    [
        (_TrainingEpochLoop, "_should_check_val_fx", r"^lightning \S+: no Trainer\.fit_loop\.epoch_loop\._should"),
        (distributed_c10d, "_get_default_store", r"^torch \S+: no distributed\.\S+_store found; .* needs torch>="),
    ],
)
def test_a_missing_part_is_told_before_a_run(owner: Any, name: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"accelerator": "cpu", "devices": 1}
    check_trainer(given)
    monkeypatch.delattr(owner, name)
    with pytest.raises(InputError, match=line) as told:
        check_trainer(given)
    assert "\n" not in str(told.value)


def test_a_missing_class_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fit_loop, "_FitLoop")
    spec = importlib.util.spec_from_file_location("internals_again", INTERNALS)
    assert spec is not None
    assert spec.loader is not None
    again: ModuleType = importlib.util.module_from_spec(spec)
    with pytest.raises(InputError, match=r"^lightning 2\S+: .* '_FitLoop' .* pip install 'lightning>=2\.6\.4,<2\.7'$"):
        spec.loader.exec_module(again)


def test_supported_versions_are_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for package, versions in internals.SUPPORTED.items():
        assert package + versions in project["dependencies"]


def test_a_metric_goes_on_from_what_is_set() -> None:
    class Count(Metric):
        full_state_update = False

        def __init__(self) -> None:
            super().__init__()
            self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

        def update(self) -> None:
            self.total += 1

        def compute(self) -> torch.Tensor:
            return self.total

    metric = Count()
    internals.set_update_count(metric, 3)
    internals.set_last_value(metric, 2)
    assert (metric.update_count, internals.last_value(metric)) == (3, 2)
