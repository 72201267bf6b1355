"""The resolved configuration of a run: one frozen mapping, comparable with that of an earlier run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aigenbench.config.experiment import ExperimentInfo, experiment_info
from aigenbench.errors import InputError
from aigenbench.yaml_text import read_yaml_file, write_yaml

# what may differ when a run goes on: where things are, how fast it goes and what is shown, not what comes out
FREE_TO_CHANGE = (
    "ckpt_path",
    "dataset_path",
    "data.init_args.cache",
    "data.init_args.cache_folder",
    "data.init_args.dataset_loader.init_args.dataset_path",
    "data.init_args.eval_batch_size",
    "data.init_args.num_workers",
    "data.init_args.predict_path",
    "experiment_info.checkpoint_every_n_minutes",
    "experiment_info.checkpoint_every_n_steps",
    "experiment_info.experiment_id",
    "experiment_info.experiments_data_folder",
    "experiment_info.sliding_windows_definition.current_window",
    "model.init_args.model_args.weights_dir",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.logger",
    "trainer.profiler",
    "weights_dir",
)


class ResolvedConfig(Mapping[str, Any]):
    """The sections of a configuration after all layers; nothing in it can be changed.

    Mappings inside are read-only and lists are tuples; `to_dict` gives plain copies.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: Mapping[str, Any] = _frozen(values)

    def __getitem__(self, section: str) -> Any:
        return self._values[section]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"ResolvedConfig({self.to_dict()!r})"

    @classmethod
    def from_file(cls, path: Path) -> ResolvedConfig:
        """The configuration that `to_yaml` wrote to `path`.

        Raises:
            InputError: the file holds no mapping.
        """
        values = read_yaml_file(path)
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected the resolved config of a run, found no mapping")
        return cls(values)

    @property
    def experiment_info(self) -> ExperimentInfo:
        """The section `experiment_info`, typed."""
        return experiment_info(self._values.get("experiment_info") or {})

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts and lists, all new."""
        return _thawed(self._values)

    def to_yaml(self) -> str:
        """YAML that runs again as a config and reads back equal."""
        return write_yaml(self.to_dict())

    def differences(self, other: ResolvedConfig, free: Collection[str] = FREE_TO_CHANGE) -> list[str]:
        """How `other` differs from this configuration.

        Args:
            other: the newer configuration.
            free: dotted keys that may differ, with all that is under them.

        Returns:
            Lines `key: old -> new` in the order of the keys; `(none)` stands for a value that is not there. Null is
            the same as not there.
        """
        before, after = dict(_flat(self.to_dict())), dict(_flat(other.to_dict()))
        keys = sorted(set(before) | set(after))
        return [
            f"{key}: {before.get(key, '(none)')} -> {after.get(key, '(none)')}"
            for key in keys
            if before.get(key) != after.get(key) and not any(key == f or key.startswith(f"{f}.") for f in free)
        ]


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _thawed(item) for key, item in value.items()}
    return [_thawed(item) for item in value] if isinstance(value, list | tuple) else value


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings and lists by dotted key; an empty one counts as a leaf."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items or not value:
        yield at, value
    for key, item in items:
        yield from _flat(item, f"{at}.{key}" if at else str(key))
