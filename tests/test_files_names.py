from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.files import name_from_readable, readable_name, user_path


@given(st.binary(max_size=40))
def test_readable_names_lose_nothing(raw: bytes) -> None:
    name = raw.decode("utf-8", "surrogateescape")
    text = readable_name(name)
    assert name_from_readable(text) == name
    # any program can show it, in a line
    text.encode("utf-8")
    assert len(text.splitlines()) <= 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sub/Zoë 1.jpg", "sub/Zoë 1.jpg"),
        ("at 1.23\u202fPM.png", "at 1.23\u202fPM.png"),
        ("caf\udce9.png", r"caf\xe9.png"),
        (r"caf\xe9.png", r"caf\\xe9.png"),
        ("two\nlines", r"two\x0alines"),
    ],
)
def test_names_as_they_are_written(name: str, text: str) -> None:
    assert readable_name(name) == text


def test_homes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/a") == Path("/home/me/a")
    assert user_path("a~/b") == Path("a~/b")
    assert user_path(os.fspath(Path("~nobody-of-that-name/a"))) == Path("~nobody-of-that-name/a")
