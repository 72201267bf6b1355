"""Whose code a configuration names. Somebody else's runs only where that is said.

A configuration is one's own where a run of one's own has recorded it: an experiment's folder may come from anybody, and
what its `config.yaml` names would run with the rights of whoever evaluates it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from aigenbench.config.layer import OPTIMIZER, get
from aigenbench.config.names import class_nodes, dotted
from aigenbench.errors import InputError
from aigenbench.files import read_regular

RECORD = "own_configurations"
"""A line for each configuration that a run of this user's has recorded: its SHA-256."""
# where classes are that do nothing but what they are for
_KNOWN = ("aigenbench.data", "aigenbench.training", "torch.optim")
# of the Trainer, what may be a class path though it is text
_NAMED_BY_TEXT = ("accelerator", "strategy", "profiler", "plugins")


def without_extras(values: dict[str, Any]) -> dict[str, Any]:
    """What goes over somebody else's configuration: an evaluation needs nothing that says what to write, and where."""
    cached = get(values, ("data", "init_args", "cache")) is not None
    return {
        "trainer": {"logger": False, "callbacks": None, "profiler": None},
        "checkpoint_callback": None,
        **({"data": {"cache": "none"}} if cached else {}),
    }


def refuse_code(values: dict[str, Any], source: str, named: Iterable[str] = ()) -> None:
    """Refuse a configuration of somebody else's that names code.

    Args:
        values: merged layers.
        source: the file they come from.
        named: imports that the user has typed.

    Raises:
        InputError: there is such code; the message lists it.
    """
    found = list(_code(values, set(named)))
    if found:
        shown = ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
        raise InputError(
            f"{source} is not known to be of a run of yours, and names code to run: {shown}; read that code, then say "
            "--trust-imports (from Python trust_imports=True)"
        )


def local_modules(values: dict[str, Any]) -> list[str]:
    """The modules, by their first name, in which a configuration's own classes and functions are looked up."""
    paths = [node["class_path"] for _, node in class_nodes(values)]
    paths += [str(path) for path in (values.get("metrics") or {}).values()]
    optimizer = get(values, OPTIMIZER)
    paths += [optimizer] if isinstance(optimizer, str) else []
    return list(dict.fromkeys(path.partition(".")[0] for path in paths if "." in path))


def in_folder(module: str, folder: Path) -> Path | None:
    """The file or package of that first name that lies in a folder; None where there is none."""
    for place in (folder / f"{module}.py", folder / module):
        if place.exists():
            return place
    return None


def remember(text: str, values: dict[str, Any]) -> None:
    """Record a configuration as one's own; see `is_own` for the arguments. Without a home, nothing is recorded."""
    path = _record()
    if path is None or is_own(text, values):
        return
    # a read-only or full home keeps no run from starting: what is not recorded is asked for later
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="ascii") as lines:
            lines.write(f"{_digest(text, values)}\n")


def is_own(text: str, values: dict[str, Any]) -> bool:
    """Whether a run of this user's has recorded a configuration, with the Python files that it names where they are.

    Args:
        text: the file `config.yaml`, as it is.
        values: what it says.
    """
    path = _record()
    if path is None or not path.is_file():
        return False
    return _digest(text, values) in read_regular(path).decode("ascii", "replace").split()


def _record() -> Path | None:
    """Where recorded configurations are listed: `$XDG_STATE_HOME/aigenbench`, by default in `~/.local/state`."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - never raises
    # a relative one would be in the current folder, which anybody may have filled
    return Path(state) / "aigenbench" / RECORD if os.path.isabs(state) else None  # noqa: PTH117


def _digest(text: str, values: dict[str, Any]) -> str:
    """Of the text, and of where the Python files that it names are: a folder of another's has others."""
    here = Path.cwd()
    places = [here / item for item in _imports(values) if item.endswith(".py")]
    modules = [*(item.partition(".")[0] for item in _imports(values)), *local_modules(values)]
    places += [place for module in modules if (place := in_folder(module, here)) is not None]
    named = "".join(f"\0{place}" for place in sorted({str(place.resolve()) for place in places}))
    return hashlib.sha256((text + named).encode("utf-8", "surrogateescape")).hexdigest()


def _imports(values: dict[str, Any]) -> list[str]:
    return [str(item) for item in values.get("imports") or ()]


def _code(values: dict[str, Any], named: set[str]) -> Iterator[str]:
    """What of a configuration would run code that is neither ours, nor Lightning's or torch's for its purpose."""
    yield from (f"imports {item}" for item in _imports(values) if item not in named)
    yield from (f"metrics.{name} {path}" for name, path in (values.get("metrics") or {}).items())
    stems = {Path(item).stem if item.endswith(".py") else item.partition(".")[0] for item in named}
    for place, node in class_nodes(values):
        path = node["class_path"]
        # the detector's and the pipeline's classes are subclasses of ours, or refused: an installed one will do
        is_section = len(place) == 1 and _is_installed(path)
        if not (_is_known(path) or path.partition(".")[0] in stems or is_section):
            yield f"{dotted(place)} {path}"
    optimizer = get(values, OPTIMIZER)
    if isinstance(optimizer, str) and not _is_known(optimizer):
        yield f"model.optimizer {optimizer}"
    if get(values, ("model", "init_args", "model_args", "trusted")):
        # weights that are a program
        yield "model.model_args.trusted"
    for key in _NAMED_BY_TEXT:
        given = (values.get("trainer") or {}).get(key)
        yield from (f"trainer.{key} {one}" for one in (given if isinstance(given, list) else [given]) if _is_path(one))


def _is_known(path: str) -> bool:
    module = path.rpartition(".")[0]
    return not module or any(module == known or module.startswith(f"{known}.") for known in _KNOWN)


def _is_installed(path: str) -> bool:
    """Whether its module is not to be found in the current folder, or was imported already."""
    return path.rpartition(".")[0] in sys.modules or in_folder(path.partition(".")[0], Path.cwd()) is None


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "." in value
