"""Files of strangers: one line for each way in which they can be wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aigenbench.errors import InputError, MissingFileError, nearest, printable
from aigenbench.files import inside, open_regular, read_bytes, read_json, read_text
from aigenbench.json_text import DEEPEST, parse_json


def told(reading: object, *arguments: object) -> str:
    with pytest.raises(InputError) as error:
        reading(*arguments)  # type: ignore[operator]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(OSError, match="no regular file"):
            open_regular(tmp_path / name)
        assert "no regular file" in told(read_bytes, tmp_path / name)
    assert "null byte" in told(read_bytes, tmp_path / "a\0b")


def test_a_missing_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="none: no such file"):
        read_bytes(tmp_path / "none")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert "has 1099511627776 bytes" in told(read_text, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": ' + "9" * 5000 + "}", "does not fit 64 bits"),
        ('{"a": 18446744073709551616}', "does not fit 64 bits"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ("[" * 100_000 + "]" * 100_000, "more than 64 levels deep"),
        ('{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), "more than 64 levels deep"),
        ("[]", "expected an object {...} of JSON, found list"),
        ("{", "Expecting property name"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_refused(text: str, said: str) -> None:
    line = told(parse_json, text, "here")
    assert line.startswith("here")
    assert said in line


def test_json_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {"a": [1, 1.5, None, True, "ä"], "b": 2**64 - 1}
    path.write_text('{"a": [1, 1.5, null, true, "\\u00e4"], "b": 18446744073709551615}', encoding="utf-8-sig")
    assert read_json(path) == value
    assert parse_json("[" * DEEPEST + "]" * DEEPEST, "here", list)
    assert parse_json("3", "here", None) == 3


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "sub/../../a", "..", "sub/..", "link", "out/a"])
def test_paths_that_lead_outside(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "a").touch()
    (root / "link").symlink_to(tmp_path / "a")
    (root / "out").symlink_to(tmp_path)
    assert "leads outside" in told(inside, root, name)
    assert inside(root, name, follow_links=True) == root / name


def test_paths_that_stay_inside(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    root = tmp_path / "root"
    root.symlink_to(real)
    (real / "a").touch()
    (real / "link").symlink_to("a")
    for name in ("a", "none", "sub/none", "link", "x/../a", str(real / "a"), str(root / "a")):
        assert inside(root, name) == root / name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 日本 a b \u200d", "Zoë 日本 a b \u200d"),
        ("\x1b[2Jaccepted", r"\u001b[2Jaccepted"),
        ("two\nlines\r\t", r"two\u000alines\u000d\u0009"),
        ("\u202eexe", r"\u202eexe"),
        ("caf\udce9", r"caf\udce9"),
        ("\x9b1m\u2028", r"\u009b1m\u2028"),
    ],
)
def test_foreign_text_on_a_terminal(text: str, shown: str) -> None:
    assert printable(text, line=True) == shown
    assert printable(f"\t{text}\n").count("\n") == 1 + text.count("\n")
    assert "\x1b" not in printable(text)


def test_messages_and_hints_are_bounded() -> None:
    assert len(str(InputError("a" * 10**7))) < 5000
    assert nearest("b" * 10**6, ["a" * 10**6] * 10**5) == ""
