"""Where config files are: as typed, or among the training configurations that come with the package."""

from __future__ import annotations

import functools
from pathlib import Path, PurePosixPath

from aigenbench.errors import InputError, nearest
from aigenbench.files import PACKAGE

FOLDER = "training_configurations"


@functools.cache
def packaged_folder() -> Path:
    """The shipped `training_configurations/`: inside the installed package, or at the root of the checkout."""
    installed = PACKAGE / FOLDER
    return installed if installed.is_dir() else PACKAGE.parents[1] / FOLDER


def packaged_configs() -> list[str]:
    """The shipped config files, as paths inside `training_configurations/`, sorted."""
    folder = packaged_folder()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))


def find_config(name: str) -> Path:
    """The file that `--config NAME` means.

    A path that exists is taken as it is. Otherwise what follows `training_configurations/` in it, or all of it,
    is looked up among the shipped files, so that their paths work from any folder.

    Raises:
        InputError: there is no such file, or it is a folder.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise InputError(f"--config {name} is a folder; give a YAML file inside it")
    parts = path.parts[path.parts.index(FOLDER) + 1 :] if FOLDER in path.parts else path.parts
    inside = PurePosixPath(*parts)
    shipped = packaged_folder() / inside
    if not path.is_absolute() and ".." not in parts and shipped.is_file():
        return shipped
    raise InputError(
        f"no config file {name!r}, neither from {Path.cwd()} nor among the packaged {FOLDER}/"
        + (_nearest_file(path) or nearest(inside.as_posix(), packaged_configs()))
    )


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    files = [other for other in path.parent.iterdir() if other.suffix in (".yaml", ".yml")]
    return nearest(path.name, [other.name for other in files if nearest(path.stem, [other.stem])])
