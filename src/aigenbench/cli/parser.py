"""From a training command's arguments to layers of configuration, and what `--help` and `--print_config` print."""

from __future__ import annotations

from collections.abc import Sequence

from aigenbench.cli.command_line import CommandLine, take_apart
from aigenbench.cli.terminal import say
from aigenbench.cli.training_help import training_help
from aigenbench.config.imports import run_imports
from aigenbench.config.layer import argument_layer
from aigenbench.config.names import DETECTOR, PIPELINE
from aigenbench.engine.assembly.request import Request, request
from aigenbench.engine.assembly.run import Command, Run
from aigenbench.errors import InputError


def asked_for(argv: Sequence[str], command: Command) -> Request:
    """What a training command's arguments ask for.

    With `--print_config` or `--help`, prints and raises SystemExit(0).

    Args:
        argv: what was typed after the command.
        command: the command.

    Raises:
        InputError: anything wrong with the arguments or config files; no data has been read.
    """
    line = take_apart(argv)
    if line.help == "":
        say(training_help(command))
        raise SystemExit(0)
    asked = request_of(line)
    if line.help is not None:
        run_imports(asked.imports)
        print_section_help(line.help)
        raise SystemExit(0)
    if line.print_config:
        say(asked.resolved().to_yaml(), end="")
        raise SystemExit(0)
    return asked


def resolve(argv: Sequence[str], command: Command) -> Run:
    """The run that a training command's arguments give; what `asked_for` prints and raises."""
    return asked_for(argv, command).run(command)


def request_of(line: CommandLine) -> Request:
    """The layers of a command line.

    Raises:
        InputError: a file is missing or wrong, or a section is unknown.
    """
    layers = [argument_layer("imports+", item) for item in line.imports]
    layers += [argument_layer(key, text) for key, text in line.arguments]
    return request(line.configs, layers, line.allow_config_change, line.allow_config_order)


def print_section_help(topic: str) -> None:
    """Print what `--KEY.help` or `--KEY.help=CLASS` asks for: a section's arguments, or those of a class.

    Raises:
        InputError: there is nothing to tell of that key or class.
    """
    from aigenbench.engine.assembly.objects import NAMED, PLAIN
    from aigenbench.engine.assembly.signatures import class_help, find_class

    key, _, name = topic.removeprefix("--").partition(".help")
    name = name.removeprefix("=") or {"model": DETECTOR, "data": PIPELINE}.get(key, "")
    cls = find_class(name) if name else PLAIN.get(key)
    if cls is None:
        raise InputError(
            f"{topic}: name a class, as --{key}.help=CLASS; without one there is help for {', '.join((*PLAIN, *NAMED))}"
        )
    say(class_help(cls, key))
