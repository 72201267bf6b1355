from __future__ import annotations

import pytest

from aigenbench.cli.arguments import Parser


@pytest.mark.parametrize("typed", [["--folder=~/there", "~/a"], ["--folder", "~/there", "~/a"]])
def test_paths_begin_at_home_where_the_shell_leaves_that(typed, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    parser = Parser()
    parser.add_argument("--folder")
    parser.add_argument("path")
    parsed = parser.parse_args(typed)
    assert (parsed.folder, parsed.path) == ("/home/me/there", "/home/me/a")


def test_of_a_command_and_of_what_it_forwards_too(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr("sys.argv", ["x", "go", "--known=~/b", "--other=~/c", "--key=a=~/d"])
    parser = Parser()
    command = parser.add_subparsers().add_parser("go")
    command.forwards = True
    command.add_argument("--known")
    parsed = parser.parse_args()
    assert parsed.known == "/home/me/b"
    assert parsed.forwarded == ["--other=/home/me/c", "--key=a=~/d"]
