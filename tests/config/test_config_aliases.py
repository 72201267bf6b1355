from __future__ import annotations

import importlib
import sys

import pytest

from aigenbench.config import aliases
from aigenbench.config.names import ORIGINAL_MODULES


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A process that has not imported any of the original's modules, with `tmp_path` on the import path."""

    def forget():
        for name in [m for m in sys.modules if m.partition(".")[0] in {n.partition(".")[0] for n in ORIGINAL_MODULES}]:
            del sys.modules[name]

    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if not isinstance(f, aliases.AliasFinder)])
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield tmp_path
    forget()


def package(folder, name, **files):
    (folder / name).mkdir()
    for file, text in files.items():
        (folder / name / f"{file}.py").write_text(text)
    importlib.invalidate_caches()


def test_the_originals_imports_give_ours(fresh):
    aliases.install()
    from algorithms import BaseDeepfakeDetectionModel, SoftTrainAugmentationsModel
    from algorithms.model_factory_registry import ModelFactoryRegistry
    from lightning_data_modules import AIGenBenchPipeline
    from lightning_data_modules.datasets import AIGenBenchDatasetLoader
    from training_metrics import DeepFakePredictionsDump, MetricsManager, MetricsManagerSlidingWindow

    import aigenbench.models
    import aigenbench.training
    from aigenbench.training import original

    assert ModelFactoryRegistry is aigenbench.models.ModelFactoryRegistry
    for found in (
        BaseDeepfakeDetectionModel,
        SoftTrainAugmentationsModel,
        AIGenBenchPipeline,
        AIGenBenchDatasetLoader,
    ):
        assert getattr(original, found.__name__) is found
    for found in (DeepFakePredictionsDump, MetricsManager, MetricsManagerSlidingWindow):
        assert getattr(aigenbench.training, found.__name__) is found


def test_without_the_finder_there_are_no_such_modules(fresh):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("training_metrics")


def test_installing_twice_is_once(fresh):
    aliases.install()
    aliases.install()
    assert sum(isinstance(finder, aliases.AliasFinder) for finder in sys.meta_path) == 1


def test_a_name_that_is_not_there_is_told(fresh):
    aliases.install()
    with pytest.raises(ImportError, match="Nothing"):
        from algorithms import Nothing  # noqa: F401
    with pytest.raises(AttributeError, match="it has BaseDeepfakeDetectionModel"):
        importlib.import_module("algorithms").Nothing  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("algorithms.nothing")


def test_a_package_of_ones_own_by_that_name_wins(fresh):
    package(fresh, "algorithms", __init__="mine = 1", sorting="")
    aliases.install()
    assert importlib.import_module("algorithms").mine == 1
    importlib.import_module("algorithms.sorting")


@pytest.mark.parametrize("init", [{}, {"__init__": "raise RuntimeError('the original ran')"}])
def test_beside_the_original_framework_ours_win_and_its_other_modules_are_found(fresh, init):
    register = "from algorithms.model_factory_registry import ModelFactoryRegistry as registry\n"
    package(
        fresh, "algorithms", model_factory_registry="raise RuntimeError('the original ran')", my_model=register, **init
    )
    aliases.install()
    from aigenbench.models import ModelFactoryRegistry

    assert importlib.import_module("algorithms.my_model").registry is ModelFactoryRegistry
