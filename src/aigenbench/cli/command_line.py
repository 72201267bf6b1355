"""What was typed after a training command, taken apart before anything is read or imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aigenbench.config.layer import SECTIONS, SHORT_KEYS
from aigenbench.errors import InputError, nearest

SWITCHES = ("print_config", "allow_config_change", "allow_config_order")
OPTIONS = ("config", "import", *SWITCHES, "help")


@dataclass
class CommandLine:
    """A training command's arguments.

    Attributes:
        configs: the config files, from left to right.
        imports: Python files and modules to import.
        arguments: the other `--key=text` in their order, without the dashes.
        print_config: print the merged configuration instead of running.
        allow_config_change: let an experiment go on with another configuration than it was begun with.
        allow_config_order: let a model's config stand before the pipeline's, which then overrides it.
        help: what to explain: None for nothing, "" for the command, or the `KEY.help` arguments as typed.
    """

    configs: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    arguments: list[tuple[str, str]] = field(default_factory=list)
    print_config: bool = False
    allow_config_change: bool = False
    allow_config_order: bool = False
    help: str | None = None


def take_apart(argv: Sequence[str]) -> CommandLine:
    """Sort `argv` into config files, imports and arguments.

    Every argument takes one value, as `--key=value` or `--key value`. No abbreviations.

    Raises:
        InputError: an argument without its value, a value without its argument, or an unknown section.
    """
    line = CommandLine()
    waiting = list(argv)
    while waiting:
        token = waiting.pop(0)
        if token in ("-h", "--help"):
            line.help = ""
            continue
        if token == "-c":
            token = "--config"
        if not token.startswith("--") or token == "--":
            raise InputError(
                f"unexpected {token!r}: arguments look like --model.model_name NAME, config files like --config FILE"
            )
        key, equals, value = token[2:].partition("=")
        if key in SWITCHES:
            setattr(line, key, True)
            continue
        _check(key)
        if not equals and waiting and not waiting[0].startswith("--"):
            value, equals = waiting.pop(0), "="
        if key.endswith(".help"):
            line.help = f"--{key}={value}" if value else f"--{key}"
        elif not equals:
            raise InputError(f"--{key} needs a value: --{key}=VALUE")
        elif key == "config":
            line.configs.append(value)
        elif key == "import":
            line.imports.append(value)
        else:
            line.arguments.append((key, value))
    return line


def _check(key: str) -> None:
    section = key.partition(".")[0].removesuffix("+")
    if section in SECTIONS or key in (*OPTIONS, *SHORT_KEYS):
        return
    known = [*SECTIONS, *SHORT_KEYS, *OPTIONS]
    hint = nearest(section, known) or f"; known are {', '.join(known)}"
    raise InputError(f"unknown argument --{key}{hint}")
