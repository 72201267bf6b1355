"""The file of a sweep: a base, and what varies over it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.config.packaged import find_config
from aigenbench.engine.assembly.given import plain
from aigenbench.engine.sweep.space import Search, check_keys, read_search
from aigenbench.errors import InputError
from aigenbench.files import user_path
from aigenbench.yaml_text import read_yaml_file

KEYS = ("base", "folder", "grid", "list", "seeds", "search")
CONFIG = "config"
"""The key of a cell whose value is a config file, or a list of them."""
NAME = "name"
"""The key of a list's item that plans and tables show in place of what the item says."""
SEED = "seed_everything"

Values = Mapping[str, Any]
"""What a cell says beside the base: dotted keys, `CONFIG`, and `NAME` with a `Named`."""


class Named(str):
    """The name of a list's item.

    Attributes:
        values: what the item says.
    """

    values: Values

    def __new__(cls, name: str, values: Values) -> Named:
        """A text that carries ``values``."""
        made = super().__new__(cls, name)
        made.values = values
        return made


@dataclass(frozen=True)
class SweepFile:
    """What a sweep's file asks for.

    Attributes:
        source: what to call it in errors.
        configs: the base's config files, from left to right.
        overrides: the base's further values, by dotted key.
        cells: what each cell says beside the base; with a search, each of its trials is repeated for these.
        search: over what to search, or None.
        folder: where the experiments go.
    """

    source: str
    configs: tuple[str, ...]
    overrides: Values
    cells: tuple[Values, ...]
    search: Search | None
    folder: Path


def read_sweep(given: Path | str | Mapping[str, Any], folder: Path | str | None = None) -> SweepFile:
    """Read a sweep.

    Args:
        given: a file, also a packaged one by its path, or a mapping of its sections.
        folder: wins over the file's.

    Raises:
        InputError: there is no such file, a key is unknown, nothing varies, or a section is empty or of the wrong kind.
    """
    if isinstance(given, Mapping):
        source, values, name = "sweep", plain(given, "sweep"), "sweep"
    else:
        source, path = str(given), find_config(str(given))
        values, name = read_yaml_file(path), path.stem
    check_keys(values, source, KEYS)
    base = values.get("base") or {}
    check_keys(base, f"{source}: base", ("configs", "overrides"))
    search = read_search(values["search"], f"{source}: search") if "search" in values else None
    if not {"grid", "list", "seeds", "search"} & set(values):
        raise InputError(f"{source}: nothing varies: expected grid, list, seeds or search")
    if search and {"grid", "list"} & set(values):
        raise InputError(f"{source}: search stands for grid and list: give one of them")
    return SweepFile(
        source,
        _texts(base.get("configs") or (), f"{source}: base: configs"),
        dict(_flat(_mapping(base.get("overrides") or {}, f"{source}: base: overrides"))),
        tuple(_cells(values, source)),
        search,
        user_path(folder or values.get("folder") or f"experiments_data/{name}"),
    )


def shown(key: str, value: Any) -> str:
    """A cell's value as plans and tables show it."""
    if key == CONFIG:
        return "+".join(Path(name).stem for name in _texts(value, CONFIG))
    return value if isinstance(value, str) else json.dumps(value)


def label(values: Values) -> str:
    """What a cell says beside the base, in a few words."""
    said = [
        shown(key, value)
        if key in (CONFIG, NAME)
        else f"{'seed' if key == SEED else key.rpartition('.')[2]} {shown(key, value)}"
        for key, value in values.items()
    ]
    return ", ".join(said) or "the base"


def written_out(values: Values) -> dict[str, Any]:
    """A cell's values, what stands behind a name among them."""
    named = values.get(NAME)
    return {**(named.values if isinstance(named, Named) else {}), **{k: v for k, v in values.items() if k != NAME}}


def config_files(values: Values) -> tuple[str, ...]:
    """The config files that a cell adds to the base's."""
    return _texts(values.get(CONFIG, ()), CONFIG)


def _cells(values: Mapping[str, Any], source: str) -> Iterator[dict[str, Any]]:
    """Every item of the list with every combination of the grid and every seed, the seeds innermost."""
    items = _list(values["list"], f"{source}: list") if "list" in values else [{}]
    grid = _mapping(values.get("grid", {}), f"{source}: grid")
    if "grid" in values and not grid:
        raise InputError(f"{source}: grid is empty: expected keys with lists of values")
    axes = {str(key): _list(choices, f"{source}: grid: {key}") for key, choices in grid.items()}
    if "seeds" in values:
        if SEED in axes:
            raise InputError(f"{source}: grid: {SEED} and seeds are the same: give one of them")
        axes[SEED] = _list(values["seeds"], f"{source}: seeds")
    names: set[str | None] = set()
    for i, item in enumerate(items):
        where = f"{source}: list: {i}"
        if "list" in values and not item:
            raise InputError(f"{where}: expected a mapping of config keys, found {item!r}")
        chosen = dict(_flat(_mapping(item, where)))
        name = chosen.pop(NAME, None)
        if name is not None and (not isinstance(name, str) or not name or name in names):
            raise InputError(f"{where}: name: expected a text that no other item has, found {name!r}")
        names.add(name)
        if both := next((key for key in chosen if key in axes), None):
            raise InputError(f"{where}: {both} stands in the {'seeds' if both == SEED else 'grid'} too: give it once")
        for combination in itertools.product(*axes.values()):
            yield {
                **(chosen if name is None else {NAME: Named(name, chosen)}),
                **dict(zip(axes, combination, strict=True)),
            }


def _flat(values: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested sections by dotted key."""
    for key, value in values.items():
        place = f"{at}.{key}" if at else str(key)
        if isinstance(value, Mapping) and value:
            yield from _flat(value, place)
        else:
            yield place, value


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected a mapping of config keys, found {value!r}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"{where}: expected a list with a value or more, found {value!r}")
    return list(value)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    items = [value] if isinstance(value, str | Path) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str | Path) for item in items):
        raise InputError(f"{where}: expected config files, found {value!r}")
    return tuple(map(str, items))
