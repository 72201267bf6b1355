from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.cli import main
from aigenbench.cli.main import log_to_stderr
from aigenbench.cli.terminal import progress_bar, say
from aigenbench.errors import printable
from aigenbench.yaml_text import read_yaml, write_yaml

HOSTILE = "x\x1b[2J\x1b[1;1Haccepted\x07\x9b31m\u202etxt.exe"


def test_errors_logs_and_results_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", HOSTILE]) == 2
    log_to_stderr()
    logging.getLogger("aigenbench").warning("found %s", HOSTILE)
    say(HOSTILE)
    told = capsys.readouterr()
    for text in (told.out, *told.err.splitlines()):
        assert "accepted" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e\r")
    assert told.out == "x\\u001b[2J\\u001b[1;1Haccepted\\u0007\\u009b31m\\u202etxt.exe\n"


def test_progress_is_for_terminals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress:
        progress("looking", 1, 2)
    assert capsys.readouterr().err == ""


def test_plain_text_stays_as_it_is() -> None:
    text = "caf\u00e9\t1.23\u202fPM \u4f60\u597d\n"
    assert printable(text) == text


@given(st.text())
def test_json_and_yaml_say_the_same(text: str) -> None:
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text
    assert read_yaml(printable(write_yaml({"k": text})), "x") == {"k": text}
