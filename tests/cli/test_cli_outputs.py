"""Where results are written to: a folder takes the usual name, what cannot be written is told first."""

from __future__ import annotations

from pathlib import Path

import pytest

from aigenbench.cli.outputs import output_file, output_folder
from aigenbench.errors import InputError


def test_a_folder_takes_the_usual_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert output_file(".", "--output", "report.html") == Path("report.html")
    assert output_file("new/", "--output", "report.html") == Path("new/report.html")
    assert output_file("new/page.html", "--output", "report.html") == Path("new/page.html")
    assert output_file("~/page.html", "--output", "report.html") == tmp_path / "home/page.html"
    assert output_folder("a/b", "--export") == Path("a/b")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("report.html").mkdir()
    with pytest.raises(
        InputError, match=r"--output file/x.html: file is no folder|--output file/x.html: .*/file is no"
    ):
        output_file("file/x.html", "--output", "report.html")
    with pytest.raises(InputError, match=r"--output \.: report.html is a folder; name a file"):
        output_file(".", "--output", "report.html")
    with pytest.raises(InputError, match=r"--export file: file is no folder"):
        output_folder("file", "--export")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match="no right to write in"):
        output_file("x.html", "--output", "report.html")
