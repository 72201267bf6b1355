"""The page on getting data in names what there is, and its commands parse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from aigenbench.cli import data_import
from aigenbench.cli.arguments import Parser
from aigenbench.curation.benchmark import FAKES_REPOSITORY
from aigenbench.curation.reading.entries import PAIRED, SAID, SYNONYMS
from aigenbench.protocol.published import MOST_PIXELS, SHORTEST_SIDE

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.S)
    return [line.partition(" #")[0] for block in blocks for line in block.splitlines() if line.startswith("aigenbench")]


@pytest.mark.parametrize("command", commands())
def test_its_commands_parse(command: str) -> None:
    parser = Parser(prog="aigenbench")
    data_import.register(parser.add_subparsers())
    assert parser.parse_args(shlex.split(command)[2:]).sources


def test_it_names_every_column_and_option() -> None:
    table = PAGE.partition("| column | what |\n")[2].partition("\n\n")[0]
    first_cells = " ".join(line.split("|")[1] for line in table.splitlines()[1:])
    assert set(re.findall(r"`(\w+)`", first_cells)) == {*SAID, *SYNONYMS, PAIRED} - {"licence"}
    parser = Parser(prog="aigenbench")
    commands = parser.add_subparsers()
    data_import.register(commands)
    options = {
        name for action in commands.choices["import"]._actions for name in action.option_strings if name[:2] == "--"
    }
    assert {name for name in options if f"`{name}" not in PAGE and f" {name}" not in PAGE} == {"--help", "--output"}


def test_it_gives_the_published_facts() -> None:
    assert FAKES_REPOSITORY in PAGE
    assert f"{MOST_PIXELS:,} pixels" in PAGE
    assert f"at least {SHORTEST_SIDE}\npixels" in PAGE
