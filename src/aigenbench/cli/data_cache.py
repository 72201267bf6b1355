"""``aigenbench data cache``: what is stored on disk, computed before a run, checked, and removed."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.cli.terminal import say
from aigenbench.errors import InputError, nearest

if TYPE_CHECKING:
    from aigenbench.data.store import Pictures, Store

FOLDER = "experiments_cache"
DAMAGED = 1


def register(commands: Any) -> None:
    """Add ``data cache build | list | verify | remove``."""
    caches = commands.add_parser("cache", help="images stored as a run reads them").add_subparsers(
        required=True, metavar="COMMAND"
    )
    build = caches.add_parser(
        "build",
        help="compute and store what fit will read",
        usage="aigenbench data cache build [--shard i/n] ARGUMENTS OF fit",
        description="Compute and store what fit, with the same arguments, will read; what is stored already is left "
        "out. Any number of processes, on any number of machines that see the cache's folder, may run it at once.",
    )
    build.forwards = True
    build.add_argument("--shard", metavar="i/n", help="only share i of n, counted from 1")
    build.set_defaults(run=run_build)
    listing = caches.add_parser("list", help="what is stored, and of what")
    verify = caches.add_parser("verify", help="read everything and compare checksums")
    verify.add_argument(
        "--remove", action="store_true", help="remove damaged files: they are computed again when needed"
    )
    remove = caches.add_parser("remove", help="remove what is stored")
    remove.add_argument("--stale", action="store_true", help="everything made by other versions of the libraries")
    for parser, run in ((listing, run_list), (verify, run_verify), (remove, run_remove)):
        parser.add_argument("names", nargs="*", metavar="NAME", help="as listed (default: all)")
        parser.add_argument("--cache-folder", default=FOLDER, metavar="DIR", help=f"default: {FOLDER}")
        parser.set_defaults(run=run)


def run_build(arguments: argparse.Namespace) -> int:
    """Store what fit with the forwarded arguments reads."""
    share = None if arguments.shard is None else _share(arguments.shard)
    from aigenbench.cli.parser import asked_for
    from aigenbench.config.layer import argument_layer

    # pixels do not depend on the model's weights
    run = asked_for(arguments.forwarded, "fit").over(argument_layer("model.model_args.pretrained", "false")).run("fit")
    from aigenbench.training.loop.commands import store_views

    say(f"{store_views(run, share)} views stored")
    return 0


def _share(text: str) -> tuple[int, int]:
    """``i/n``, counted from 1, as (index from 0, count)."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise InputError(f"--shard: expected i/n with 1 <= i <= n, such as 1/4, found {text!r}")
    return int(index) - 1, int(count)


def run_list(arguments: argparse.Namespace) -> int:
    """Print a line for every store, and what it is a function of."""
    for store in _chosen(arguments):
        rows = store.open()
        size = sum(path.stat().st_size for path in store.folder.rglob("*"))
        say(f"{store.folder.name}  {len(rows)} rows, {size / 1e9:.3g} GB{', stale' if _is_stale(store) else ''}")
        for line in _lines(store.identity["identity"]):
            say(f"  {line}")
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Print what is damaged; exit code 1 where anything is and was not removed."""
    damaged = 0
    for store in _chosen(arguments):
        found = store.verify(arguments.remove)
        damaged += len(found)
        for path, reason in found.items():
            say(f"{path}: {reason}{'; removed' if arguments.remove else ''}")
        say(f"{store.folder.name}: {f'{len(found)} damaged files' if found else 'as written'}")
    return DAMAGED if damaged and not arguments.remove else 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Remove the named stores, or with ``--stale`` those that this environment cannot use."""
    if not arguments.names and not arguments.stale:
        raise InputError("which? name them as 'aigenbench data cache list' does, or say --stale")
    for store in _chosen(arguments):
        if not arguments.stale or _is_stale(store):
            shutil.rmtree(store.folder)
            say(f"{store.folder} removed")
    return 0


def _chosen(arguments: argparse.Namespace) -> list[Store | Pictures]:
    from aigenbench.data.store import pictures_in, stores_in

    folder = Path(arguments.cache_folder)
    if not folder.is_dir():
        raise InputError(f"nothing is stored at {folder}; --cache-folder says where")
    found: list[Store | Pictures] = [*stores_in(folder), *pictures_in(folder)]
    stores = {store.folder.name: store for store in found}
    for name in arguments.names:
        if name not in stores:
            raise InputError(f"nothing named {name!r} is stored in {folder}{nearest(name, stores)}")
    return [store for name, store in stores.items() if name in arguments.names or not arguments.names]


def _is_stale(store: Store | Pictures) -> bool:
    """Whether it was made by another sample format or other libraries, so that no run here will read it."""
    from aigenbench.data.store.identity import describe_format

    found = store.identity["identity"]
    return any(found.get(key, value) != value for key, value in describe_format().items())


def _lines(identity: Mapping[str, Any]) -> list[str]:
    """What the rows are a function of, one fact a line, steps by their names alone."""
    return [f"{key}: {_short(value)}" for key, value in identity.items() if value is not None]


def _short(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "class" in value:
        return str(value["class"]).rpartition(".")[2]
    return ", ".join(f"{key} {str(item)[:16] if key == 'sha256' else item}" for key, item in value.items())
