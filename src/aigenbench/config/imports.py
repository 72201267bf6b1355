"""Users' own Python: files and modules named on the command line, in a config or by an installed package."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from aigenbench.config import aliases
from aigenbench.config.trust import in_folder
from aigenbench.errors import InputError
from aigenbench.files import PACKAGE

ENTRY_POINTS = "aigenbench.models"
SITE = "site-packages"
# in whose code a user's wrong value is found
LIBRARIES = (
    "jsonargparse",
    "lightning",
    "lightning_utilities",
    "open_clip",
    "pytorch_lightning",
    "timm",
    "torch",
    "torchmetrics",
    "torchvision",
)


def run_imports(items: Iterable[str], modules: Iterable[str] = ()) -> None:
    """Import users' code, so that the models and classes in it are known.

    Installed packages' entry points of the group `aigenbench.models` come first, then `items` in order. The original
    framework's module names work in that code. Where a file or module that is named lies in the current folder, that
    is put at the end of the import path.

    Args:
        items: paths of Python files (they end in `.py`) or names of modules.
        modules: first names of modules that are looked up later.

    Raises:
        InputError: a file is missing, a module is not found, or the code in it fails; with the place in the code.
    """
    import importlib.metadata  # half as long as all else that a mistyped command imports

    aliases.install()
    items = list(items)
    use_current_folder([*items, *modules])
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:
            raise InputError(f"the entry point {entry.name} = {entry.value}: {reason(error)}") from error
    for item in items:
        import_item(item)


def use_current_folder(named: Iterable[str]) -> None:
    """Put the current folder at the end of the import path, where a file or module that is named lies in it."""
    here = Path.cwd()
    if any(_lies_in(item, here) for item in named) and not {"", str(here)} & set(sys.path):
        sys.path.append(str(here))


def _lies_in(item: str, folder: Path) -> bool:
    if item.endswith(".py"):
        return Path(item).expanduser().absolute().is_relative_to(folder)
    return in_folder(item.partition(".")[0], folder) is not None


def import_item(item: str) -> None:
    """Import a Python file (its path ends in `.py`) or a module by name.

    Raises:
        InputError: see `run_imports`.
    """
    if item.endswith(".py"):
        import_file(Path(item))
    else:
        _import_module(item)


def import_file(path: Path) -> ModuleType:
    """Run a Python file as a module named after it; a file that was run before is not run again.

    The name is that of the file without `.py`, so `model.class_path: my_model.MyDetector` finds a class in
    `my_model.py`; where that name is taken, the module gets one of its own.

    Raises:
        InputError: there is no such file, or the code in it fails.
    """
    path = path.expanduser().resolve()
    if not path.is_file():
        raise InputError(f"no Python file to import at {path}")
    for module in list(sys.modules.values()):
        if vars(module).get("__file__") == str(path):
            return module
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"aigenbench_user_{path.stem}_{abs(hash(path)):x}" if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"cannot import {path}: {reason(error)}") from error
    return module


def reason(error: BaseException) -> str:
    """What failed, and the last place in a user's code: `NameError: name 'x' is not defined (my_model.py, line 3)`.

    An error that no code of the user's has raised or called for has no place.
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError):
        return text
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else text


def raised_by_us(error: BaseException) -> bool:
    """Whether an error comes out of this package's own code, with none of a user's in between: a fault of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = bool(frames) and Path(frames[-1].filename).is_relative_to(PACKAGE)
    return ours and not any(_is_users(frame.filename) for frame in frames)


def _is_users(file: str) -> bool:
    """Whether it is neither ours, nor Python's, nor a library's that calls what a config names."""
    path = Path(file)
    if file.startswith("<") or path.is_relative_to(PACKAGE):
        return False
    if SITE in path.parts:
        return path.parts[path.parts.index(SITE) + 1] not in LIBRARIES
    return not path.is_relative_to(Path(traceback.__file__).parent)


def _import_module(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        hint = "; a file is named by its path, which ends in .py" if isinstance(error, ModuleNotFoundError) else ""
        raise InputError(f"cannot import the module {name!r}: {reason(error)}{hint}") from error
