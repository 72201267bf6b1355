"""Train and evaluate detectors of AI-generated images on the AI-GenBench temporal benchmark.

``import aigenbench as ab`` gives what the command line does, as calls and objects; see docs/api.md. Each name is
imported when it is first used: torch takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigenbench.curation import Imported, import_benchmark, import_data
    from aigenbench.curation.stats import stats
    from aigenbench.data.demo import make_demo_data
    from aigenbench.engine.auditing import audit
    from aigenbench.engine.benchmark import Benchmark
    from aigenbench.engine.calls import fit, predict, robustness, test, validate
    from aigenbench.engine.detector import Detector
    from aigenbench.engine.evaluating import evaluate
    from aigenbench.engine.experiment import Experiment
    from aigenbench.engine.exporting import export
    from aigenbench.engine.frontier import frontier
    from aigenbench.engine.pages import compare, report
    from aigenbench.engine.results import Interval, Intervals, Scores
    from aigenbench.engine.showing import show
    from aigenbench.engine.sweep.sweeping import sweep
    from aigenbench.errors import InputError
    from aigenbench.inference.serve.starting import serve
    from aigenbench.models import ModelFactoryRegistry
    from aigenbench.training import BaseDeepfakeDetectionModel

__version__ = "0.1.0"
__all__ = [
    "BaseDeepfakeDetectionModel",
    "Benchmark",
    "Detector",
    "Experiment",
    "Imported",
    "InputError",
    "Interval",
    "Intervals",
    "ModelFactoryRegistry",
    "Scores",
    "audit",
    "compare",
    "evaluate",
    "export",
    "fit",
    "frontier",
    "import_benchmark",
    "import_data",
    "make_demo_data",
    "predict",
    "report",
    "robustness",
    "serve",
    "show",
    "stats",
    "sweep",
    "test",
    "validate",
]

_PLACES = {
    "BaseDeepfakeDetectionModel": "training",
    "Benchmark": "engine.benchmark",
    "Detector": "engine.detector",
    "Experiment": "engine.experiment",
    "Imported": "curation",
    "InputError": "errors",
    "Interval": "engine.results",
    "Intervals": "engine.results",
    "ModelFactoryRegistry": "models",
    "Scores": "engine.results",
    "compare": "engine.pages",
    "evaluate": "engine.evaluating",
    "export": "engine.exporting",
    "fit": "engine.calls",
    "frontier": "engine.frontier",
    "audit": "engine.auditing",
    "import_benchmark": "curation",
    "import_data": "curation",
    "make_demo_data": "data.demo",
    "predict": "engine.calls",
    "report": "engine.pages",
    "robustness": "engine.calls",
    "serve": "inference.serve.starting",
    "show": "engine.showing",
    "stats": "curation.stats",
    "sweep": "engine.sweep.sweeping",
    "test": "engine.calls",
    "validate": "engine.calls",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        import importlib

        return getattr(importlib.import_module(f"aigenbench.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
