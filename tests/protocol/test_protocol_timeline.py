from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from aigenbench.errors import InputError
from aigenbench.protocol.timeline import PUBLISHED, Generator, load_timeline, make_timeline


def test_published_timeline_is_36_generators_by_date() -> None:
    assert len(PUBLISHED.names) == 36
    assert [g.released for g in PUBLISHED.generators] == sorted(g.released for g in PUBLISHED.generators)
    assert PUBLISHED.names[0] == "CycleGAN"
    assert PUBLISHED.names[-1] == "FLUX 1 Schnell"
    assert PUBLISHED.dates["DDPM"] == date(2020, 6, 19)


def test_ids_are_alphabetical_with_real_first() -> None:
    assert PUBLISHED.id_to_name[0] == ""
    assert list(PUBLISHED.id_to_name[1:]) == sorted(PUBLISHED.names)
    assert PUBLISHED.ids["ADM"] == 1


def test_extensions_get_ids_after_all_others_by_date(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("generator,date\nZeta,2016-01-01\nAlpha,2025-05-05\n")
    timeline = load_timeline(path)
    assert timeline.names[0] == "Zeta"
    assert timeline.names[-1] == "Alpha"
    assert timeline.id_to_name[:37] == PUBLISHED.id_to_name
    assert timeline.id_to_name[37:] == ("Zeta", "Alpha")


def test_timeline_of_ones_own_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("extend: false\ngenerators: {B: 2020-01-02, A: 2021-01-01}\n")
    assert load_timeline(path).names == ("B", "A")


def test_a_timeline_has_a_name_and_a_version(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: frontier\nversion: 2\ngenerators: {New: 2025-05-05}\n")
    timeline = load_timeline(tmp_path / "own.yaml")
    assert (timeline.name, timeline.version, timeline.title) == ("frontier", "2", "frontier 2")
    assert timeline.restricted_to({"New", "ADM"}).title == "frontier 2"
    assert timeline.describe()["generators"][-1] == ["New", "2025-05-05"]


def test_without_them_they_are_of_the_file_and_of_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("generator,date\nNew,2025-05-05\nOther,2025-06-06\n")
    (tmp_path / "own.yaml").write_text("Other: 2025-06-06\nNew: 2025-05-05\n")
    (tmp_path / "later.csv").write_text("generator,date\nNew,2025-05-06\nOther,2025-06-06\n")
    csv, yaml, later = (load_timeline(tmp_path / name) for name in ("own.csv", "own.yaml", "later.csv"))
    assert csv == yaml
    assert csv.name == "own"
    assert len(csv.version) == 8
    assert later.version != csv.version


def test_the_published_timeline_is_told_as_ever(tmp_path: Path) -> None:
    assert PUBLISHED.title == ""
    assert PUBLISHED.describe()[0] == ["CycleGAN", "2017-03-30"]
    assert load_timeline(None) is PUBLISHED
    (tmp_path / "nothing_new.yaml").write_text("ADM: 2021-05-11\n")
    assert load_timeline(tmp_path / "nothing_new.yaml") is PUBLISHED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\ngenerator: {A: 2025-01-01}\n", "dates 'name' 'a'; expected YYYY-MM-DD"),
        ("nam: a\ngenerators: {A: 2025-01-01}\n", "unknown key 'nam'; did you mean 'name'"),
        ("version: 1.10\ngenerators: {A: 2025-01-01}\n", "'version' in .* must be one line of text, found 1.1; put it"),
        ("extend: 'no'\ngenerators: {A: 2025-01-01}\n", "'extend' in .* must be true or false, found 'no'"),
        ("A: 2025-01-01\nA: 2025-01-02\n", "twice"),
        ("A: 2025-02-30\n", "dates 'A' '2025-02-30'; expected YYYY-MM-DD"),
        ("'': 2025-02-20\n", "empty name"),
        ("A: yesterday\n", "YYYY-MM-DD"),
        ("- A\n", "mapping"),
        ("CycleGAN: 2020-01-01\n", "published"),
        ("{}\n", "no generator"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_bad_timelines_are_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load_timeline(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("own.csv", "generator,date\nZoë,2025-05-05\n"),
        ("own.csv", "generator;date\r\nZoë;2025-05-05\r\n;\r\n"),
        ("own.yaml", "generators: {Zoë: 2025-05-05}\n"),
    ],
)
def test_timelines_as_spreadsheets_and_editors_save_them(tmp_path: Path, file: str, text: str, encoding: str) -> None:
    (tmp_path / file).write_text(text, encoding=encoding)
    assert load_timeline(tmp_path / file).names[-1] == "Zoë"


def test_a_timeline_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.csv").write_text("generator,date\nNew,2025-05-05\n")
    assert load_timeline("~/own.csv").names[-1] == "New"


def test_names_stand_once() -> None:
    day = date(2020, 1, 1)
    with pytest.raises(InputError, match="twice"):
        make_timeline([Generator("A", day), Generator("A", day)])


def test_restricting_keeps_order_and_renumbers() -> None:
    timeline = PUBLISHED.restricted_to({"VQGAN", "ADM", "unknown"})
    assert timeline.names == ("VQGAN", "ADM")
    assert timeline.id_to_name == ("", "ADM", "VQGAN")


@pytest.mark.parametrize("name", ["New", "ADM"])
def test_a_name_that_stands_twice_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "own.csv").write_text(f"generator,date\n{name},2021-05-11\nOther,2025-01-01\n{name},2021-05-11\n")
    with pytest.raises(InputError, match=f"{name!r} stands twice"):
        load_timeline(tmp_path / "own.csv")
