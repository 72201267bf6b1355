"""One layer of configuration, a config file or an argument, brought into the form in which layers merge."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from aigenbench.config.experiment import experiment_info
from aigenbench.config.home import expand_home
from aigenbench.config.merge import spread
from aigenbench.config.names import SHORT, Path, rename_classes
from aigenbench.config.packaged import find_config
from aigenbench.errors import InputError, nearest
from aigenbench.files import read_text
from aigenbench.yaml_text import LARGEST, Typed, read_yaml

MAPPINGS = ("trainer", "model", "data", "experiment_info", "checkpoint_callback", "metrics")
TEXTS = ("dataset_path", "ckpt_path", "weights_dir")
SECTIONS = (*MAPPINGS, *TEXTS, "seed_everything", "imports")
SHORT_KEYS: dict[str, Path] = {"timeline": ("data", "init_args", "timeline")}
"""Keys at the top, where `dataset_path` stands too, that mean one further inside."""
COMMAND_LINE = "the command line"
DEFAULT_SEED = 42

OPTIMIZER: Path = ("model", "init_args", "optimizer")
LOADER: Path = ("data", "init_args", "dataset_loader")
# always classes: text there is a class path, and arguments may stand without init_args
CLASSES: tuple[Path, ...] = (("model",), OPTIMIZER, ("data",), LOADER)
# lists of classes: text among the items is a class path
CLASS_LISTS = ("logger", "callbacks")


@dataclass(frozen=True)
class Layer:
    """One source of configuration.

    Attributes:
        source: what to call it in warnings and errors.
        values: the mapping; class paths are ours, arguments stand in `init_args`, `dataset_path` at the top.
        renamed: the places of classes that the layer gave under the original framework's names.
    """

    source: str
    values: dict[str, Any]
    renamed: tuple[Path, ...] = ()


def file_layer(name: str) -> Layer:
    """The layer of a config file, given as typed after `--config`.

    Raises:
        InputError: the file is missing or no YAML mapping, or a section in it is unknown or of the wrong kind.
    """
    path = find_config(name)
    return text_layer(name, config_text(path), path.parent)


def config_text(path: FilePath) -> str:
    """What a config file holds.

    Raises:
        InputError: it cannot be read.
    """
    return read_text(path, LARGEST)


def text_layer(name: str, text: str, folder: FilePath) -> Layer:
    """The layer of a config file's text.

    Raises:
        InputError: see `file_layer`.
    """
    values = read_yaml(text, name)
    if not isinstance(values, dict | None):
        raise InputError(f"{name}: expected a mapping with sections such as trainer, model and data")
    return layer(name, values or {}, folder)


def argument_layer(key: str, text: str) -> Layer:
    """The layer of one `--key=text`; dots in `key` lead into mappings, a last `+` appends.

    Raises:
        InputError: the key's section is unknown, or the value does not fit it.
    """
    value = Typed(text).value
    return key_layer(COMMAND_LINE, key, value if isinstance(value, dict | list | None) else Typed(text))


def key_layer(source: str, key: str, value: Any) -> Layer:
    """The layer of one dotted key, see `argument_layer`, whose value is read already.

    Raises:
        InputError: a part of the key is empty, its section is unknown, or the value does not fit it.
    """
    parts = key.split(".")
    if not all(parts):
        raise InputError(f"{source}: {key!r}: a part of the key is empty")
    for part in reversed(parts):
        value = {part: value}
    return layer(source, value)


def layer(source: str, values: dict[str, Any], folder: FilePath | None = None) -> Layer:
    """`values` as a layer: sections checked, class paths renamed, short forms written out.

    Args:
        source: what to call the layer in warnings and errors.
        values: sections as written; left as they are.
        folder: where files under `imports` are also looked for.

    Raises:
        InputError: a section is unknown or of the wrong kind, or a key of `experiment_info` is.
    """
    values = {key: _section(key, value, source) for key, value in expand_home(copy.deepcopy(values)).items()}
    for place in CLASSES:
        _write_out(values, place, source)
    for key, place in SHORT_KEYS.items():
        _place_short_key(values, key, place, source)
    trainer = values.get("trainer", {})
    for key in CLASS_LISTS:
        for spelled in {key, f"{key}+"} & set(trainer):
            trainer[spelled] = _listed(trainer[spelled])
    values, renamed = rename_classes(values)
    _gather_dataset_path(values, source)
    _check_experiment_info(values.get("experiment_info", {}), source)
    for key in {"imports", "imports+"} & set(values):
        items = values[key] if isinstance(values[key], list) else [values[key]]
        values[key] = [_beside(str(item), folder) for item in items]
    return Layer(source, values, tuple(renamed))


def _check_experiment_info(values: dict[str, Any], source: str) -> None:
    windows = values.get("sliding_windows_definition")
    if isinstance(windows, dict) and "n_generators_per_window" in windows:
        # whether 0 will do depends on the kind of benchmark, which another layer may give
        values = {**values, "sliding_windows_definition": {"benchmark_type": "none", **windows}}
    experiment_info(values, source)


def get(values: Any, place: Path) -> Any:
    """What stands at `place`, or None."""
    for part in place:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def _section(key: Any, value: Any, source: str) -> Any:
    name = str(key).removesuffix("+")
    if name not in SECTIONS and name not in SHORT_KEYS:
        hint = nearest(name, (*SECTIONS, *SHORT_KEYS)) or f"; the sections are {', '.join(SECTIONS)}"
        raise InputError(f"{source}: unknown key {key!r}{hint}")
    if name in MAPPINGS:
        if value is None and name not in ("checkpoint_callback", "metrics"):
            return {}
        if not isinstance(value, dict | None) and not (name in ("model", "data") and isinstance(value, str)):
            raise InputError(f"{source}: {key}: expected a mapping, found {value!r}")
    if name in (*TEXTS, *SHORT_KEYS) and value is not None:
        if isinstance(value, dict | list | bool):
            raise InputError(f"{source}: {key}: expected a path, found {value!r}")
        return str(FilePath(str(value))) if value != "" else None
    if name == "seed_everything":
        seed = value.value if isinstance(value, Typed) else value
        if seed is True:
            return DEFAULT_SEED
        if not isinstance(seed, int) or seed is False or seed < 0:
            raise InputError(f"{source}: {key}: expected an integer from 0 on, found {seed!r}; a run is always seeded")
        return seed
    return value


def _write_out(values: dict[str, Any], place: Path, source: str) -> None:
    holder, key = get(values, place[:-1]), place[-1]
    if not isinstance(holder, dict) or key not in holder:
        return
    node = holder[key]
    if place == OPTIMIZER and isinstance(node, str) and node.rpartition(".")[2].lstrip("_")[:1].islower():
        return  # a function that makes the optimizer
    if isinstance(node, str):
        node = {"class_path": node}
    if not isinstance(node, dict):
        return
    node = spread(node, place, source)
    name = node.get("class_path")
    if place == OPTIMIZER and isinstance(name, str) and "." not in name:
        node["class_path"] = f"torch.optim.{name}"
    elif isinstance(name, str) and name in SHORT:
        node["class_path"] = SHORT[name]
    holder[key] = node


def _listed(value: Any) -> Any:
    """A class path, alone or in a list, as the mapping that names it; true and false stay."""
    if isinstance(value, list):
        return [_listed(item) for item in value]
    meant = value.value if isinstance(value, Typed) else value
    return {"class_path": meant} if isinstance(meant, str) and meant else value


def _place_short_key(values: dict[str, Any], key: str, place: Path, source: str) -> None:
    """Move what stands at the top under a short key to where it belongs."""
    if key not in values:
        return
    value = values.pop(key)
    node: dict[Any, Any] = values
    for part in place[:-1]:
        node = node.setdefault(part, {})
    if node.setdefault(place[-1], value) != value:
        raise InputError(f"{source}: {key} is {value!r} at the top but {node[place[-1]]!r} in {place[0]}")


def _gather_dataset_path(values: dict[str, Any], source: str) -> None:
    """Move the loader's own `dataset_path` to the top, where all layers give it."""
    arguments = get(values, (*LOADER, "init_args"))
    if not isinstance(arguments, dict) or "dataset_path" not in arguments:
        return
    inner = _section("dataset_path", arguments.pop("dataset_path"), source)
    outer = values.get("dataset_path")
    if inner is not None and outer is not None and inner != outer:
        raise InputError(f"{source}: dataset_path is {outer!r} at the top but {inner!r} in the dataset_loader")
    values["dataset_path"] = inner if outer is None else outer


def _beside(item: str, folder: FilePath | None) -> str:
    """A file that is not found from here but stands beside the config is named by its full path."""
    if folder is not None and item.endswith(".py") and not FilePath(item).is_file() and (folder / item).is_file():
        return str((folder / item).resolve())
    return item
