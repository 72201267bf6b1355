"""Layers of configuration resolved against the classes they name. Importing this imports torch and Lightning."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aigenbench.config.experiment import experiment_info
from aigenbench.config.layer import OPTIMIZER, SECTIONS, get
from aigenbench.config.layers import Merged
from aigenbench.config.merge import is_node
from aigenbench.config.names import Path
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.engine.assembly.objects import PLAIN, REFUSALS, parse
from aigenbench.engine.assembly.run import metrics_of
from aigenbench.engine.assembly.signatures import (
    check_empty,
    check_keys,
    check_kind,
    find_class,
    parameters,
    parameters_of,
    wrong_value,
)
from aigenbench.protocol.published import SGD
from aigenbench.training import BaseDeepfakeDetectionModel
from aigenbench.yaml_text import Typed

DEFAULTS: tuple[Any, ...] = (None, {"cumulative": {}})
"""Strategies that are none."""
LOGS = "experiments_logs"
TENSORBOARD = "lightning.pytorch.loggers.TensorBoardLogger"


def resolve(layers: Merged) -> ResolvedConfig:
    """Merged layers checked against the classes they name, completed with defaults, and frozen.

    Raises:
        InputError: an unknown key, a class that cannot be imported, a missing or wrong value.
    """
    source = layers.source_of
    merged = layers.settled(parameters_of)
    info = experiment_info(merged.get("experiment_info") or {})
    check_kind(merged)
    _complete_optimizer(merged)
    _complete_loggers(merged)
    check_keys(merged, source)
    plain = _read_typed(merged, as_text=False)
    check_empty(plain, source)
    try:
        parsed = parse(plain)
    except REFUSALS:
        # perhaps a number, or true, typed for an argument that takes text
        texts = _read_typed(merged, as_text=True)
        try:
            parsed = parse(texts)
        except REFUSALS as error:
            raise wrong_value(texts, source, error) from error
    metrics_of(plain)
    values = {section: plain.get(section) for section in SECTIONS} | parsed
    # a run by default is named as it was before there were strategies
    written = {key: value for key, value in asdict(info).items() if key != "strategy" or value not in DEFAULTS}
    return ResolvedConfig(values | {"experiment_info": written, "imports": plain.get("imports") or []})


def _complete_optimizer(config: dict[str, Any]) -> None:
    """Write out the benchmark's own optimizer (protocol section 6) where nothing else is named."""
    given = get(config, OPTIMIZER) or {}
    if not isinstance(given, dict) or "class_path" in given:
        return
    cls = find_class(config["model"]["class_path"])
    ours = parameters(BaseDeepfakeDetectionModel).defaults["optimizer"]
    if cls and parameters(cls).defaults.get("optimizer") == ours:
        arguments = SGD | (given.get("init_args") or {})
        node = {"class_path": "torch.optim.SGD", "init_args": arguments}
        config["model"].setdefault("init_args", {})["optimizer"] = node


def _complete_loggers(config: dict[str, Any]) -> None:
    """Loggers that need a folder and are given none write to `experiments_logs`; `true` is TensorBoard's."""
    given = config["trainer"].get("logger")
    if given is True or (isinstance(given, Typed) and given.value is True):
        given = config["trainer"]["logger"] = {"class_path": TENSORBOARD}
    for node in given if isinstance(given, list) else [given]:
        cls = find_class(node["class_path"]) if is_node(node) else None
        known = parameters(cls).defaults if cls else {}
        if "save_dir" in known and known["save_dir"] is None:
            node["init_args"] = {"save_dir": LOGS, **(node.get("init_args") or {})}


def _read_typed(value: Any, as_text: bool, at: Path = ()) -> Any:
    """A copy of `value` where what was typed on the command line is read as YAML, or a class's argument as text."""
    if isinstance(value, dict):
        return {key: _read_typed(item, as_text, (*at, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_read_typed(item, as_text, (*at, index)) for index, item in enumerate(value)]
    if not isinstance(value, Typed):
        return value
    # inside a free mapping, such as model_args, nothing but YAML can say what the text means
    is_argument = len(at) > 1 and at[-2] in ("init_args", *PLAIN)
    return str(value) if as_text and is_argument else value.value
