"""What strategies about weights cannot be combined with."""

from __future__ import annotations

from aigenbench.errors import InputError
from aigenbench.models.heads.transforms import SimLBR
from aigenbench.models.probe import Classifier
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.detector.objectives import check_features
from aigenbench.training.detector.workbench import trains
from aigenbench.training.strategies.base import KEY, Strategy
from aigenbench.training.strategies.distillation import TermsContext
from aigenbench.training.strategies.fusion import Fusion, check_fused
from aigenbench.training.strategies.registry import Strategies


def check_strategies(
    strategies: Strategies, detector: BaseDeepfakeDetectionModel, with_heads: bool, is_sharded: bool
) -> None:
    """Refuse what a strategy would not reach.

    Args:
        strategies: of the run.
        detector: that it trains.
        with_heads: whether it trains further heads.
        is_sharded: whether its weights are shared out over processes.

    Raises:
        InputError: a strategy about weights or terms meets one of them, or a hook that computes the loss itself.
    """
    for found in filter(None, map(strategies.about, ("start", "finish", "terms"))):
        if is_sharded:
            raise InputError(f"{KEY}: {found[0]} needs whole weights, trainer.strategy fsdp shards them; use ddp")
        if with_heads:
            raise InputError(
                f"{KEY}: {found[0]} does not reach experiment_info.heads; train each head in a run of its own, such as "
                "by aigenbench sweep, which share stored features"
            )
        if not trains(detector.model):
            raise InputError(f"{KEY}: {found[0]} is about weights that train, and the head is a scorer; leave it out")
        if isinstance(found[1], Fusion):
            check_fused(detector.model)
    if (about_terms := strategies.about("terms")) is not None:
        _check_terms(*about_terms, detector)


def _check_terms(name: str, strategy: Strategy, detector: BaseDeepfakeDetectionModel) -> None:
    width = detector.model.num_features if isinstance(detector.model, Classifier) else 0
    made = strategy.terms(TermsContext(1, width)).values()
    needs_features = any(term.needs_features for term in made)
    if isinstance(detector.model, Classifier) and any(isinstance(one, SimLBR) for one in detector.model.transforms):
        raise InputError(f"{KEY}: {name} compares with an earlier detector, which sees no blends: leave simlbr out")
    for hook in ("training_step", *(("forward",) if needs_features else ())):
        if getattr(type(detector), hook) is not getattr(BaseDeepfakeDetectionModel, hook):
            raise InputError(
                f"{KEY}: {name} is a term of the loss, and {type(detector).__name__} overrides {hook}, which would "
                "have to compute it; leave one of them out"
            )
    if needs_features:
        check_features(f"{KEY} {name}", detector.model, detector.model_name)
