"""The list of generators is sound, and what is near is asked about, not what is merely like."""

from __future__ import annotations

import csv
import json
import re
import string
from datetime import date
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aigenbench.cli import main
from aigenbench.errors import InputError
from aigenbench.protocol import generators
from aigenbench.protocol.generators import (
    LIST,
    find_listed,
    known_names,
    listed_generators,
    near_names,
    refuse_near,
)
from aigenbench.protocol.timeline import PUBLISHED, load_timeline

LISTED = listed_generators()
PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
LETTERS = string.ascii_letters
names = st.text(LETTERS, min_size=7, max_size=14)


def test_it_holds_the_benchmark_as_published_and_many_more() -> None:
    told = re.findall(r"(?:\| |· )(\S[^|·]*) (\d{4}-\d\d-\d\d)", PAGE.partition("## 2. ")[2].partition("## 3. ")[0])
    assert [(one.name, one.released.isoformat()) for one in PUBLISHED.generators] == told
    assert len(LISTED) >= 80
    assert {one.released.year for one in LISTED} >= set(range(2017, 2026))


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one.name)
def test_every_row_has_a_date_and_a_source(one) -> None:
    assert date(2017, 1, 1) <= one.released <= date.today()
    assert one.source.startswith("https://")
    assert one.basis in ("benchmark", "stored", "identifier")
    assert one.precision == "day" or (one.precision == "month" and one.released.day == 1)
    if one.basis == "identifier":
        assert one.precision == "month"
        assert one.source.rpartition("/")[2].startswith(f"{one.released:%y%m}.")
    assert one.name == one.name.strip() != ""
    assert not any(set(text) & set(",;\n") for text in (one.name, *one.aliases))


def test_it_is_sorted_and_no_two_names_are_one_or_near(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.released for one in LISTED] == sorted(one.released for one in LISTED)
    called = [name for one in LISTED for name in (one.name, *one.aliases)]
    assert len({name.lower() for name in called}) == len(called)
    listed = known_names()
    monkeypatch.setattr(generators, "listed_generators", tuple)
    assert near_names(listed, []) == {}


def test_its_file_is_a_timeline() -> None:
    timeline = load_timeline(LIST)
    assert set(timeline.names) == set(known_names())
    assert timeline.extensions == set(known_names()) - set(PUBLISHED.names)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("stylegan-2", "StyleGAN2"),
        ("STABLE_DIFFUSION_1.5", "Stable Diffusion 1.5"),
        ("Stable Diffusion 15", "Stable Diffusion 1.5"),
        ("Stable Difusion 1.5", "Stable Diffusion 1.5"),
        ("Stalbe Diffusion 1.5", "Stable Diffusion 1.5"),
        ("FLUX.1 [dev]", "FLUX 1 Dev"),
        ("DALL·E 3", "DALL-E 3"),
        ("ddpm", "DDPM"),
        ("SDXL", "Stable Diffusion XL 1.0"),
        ("StyleGAN", "StyleGAN1"),
        ("Würstchen", "Wuerstchen"),
        ("nano-banana", "Gemini 2.5 Flash Image"),
    ],
)
def test_near(name: str, other: str) -> None:
    assert near_names([name], known_names()) == {name: other}


@pytest.mark.parametrize(
    "name",
    [
        *("Stable Diffusion 1.6", "Stable Diffusion 2.2", "Midjourney v9", "FLUX 1 Pro", "DALL-E 4", "StyleGAN4"),
        *("BiGAN", "DCGAN", "DDIM", "SiT", "My Generator", "Imagen 5", "StackGAN", "Stable Diffusion", "GauGAN2"),
    ],
)
def test_not_near(name: str) -> None:
    assert near_names([name], known_names()) == {}


@given(names, st.data())
def test_case_signs_and_one_letter_make_no_other(name: str, data: st.DataObject) -> None:
    assume(not near_names([name], known_names()))
    place = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from(LETTERS))
    sign = data.draw(st.sampled_from(" -_.()[]·"))
    spelled = [
        name.swapcase(),
        name[:place] + sign + name[place:],
        name[:place] + letter + name[place + 1 :],
        name[:place] + name[place + 1 :],
        name[:place] + letter + name[place:],
        name[:place] + name[place : place + 2][::-1] + name[place + 2 :],
    ]
    for other in spelled:
        assert near_names([other], [name]) == ({} if other == name else {other: name})
        # two new ones are asked about too
        assert near_names([name, other], []) == ({} if other == name else {other: name})


@given(names, st.integers(0, 999), st.integers(0, 999), st.integers(0, 14))
def test_other_digits_make_another(name: str, one: int, two: int, place: int) -> None:
    assume(one != two)
    first, second = (name[:place] + str(n) + name[place:] for n in (one, two))
    assert near_names([first], [second]) == {}
    assert near_names([first], [name]) == {}


@given(st.lists(st.text(max_size=9), max_size=6), st.lists(st.text(max_size=9), max_size=6))
def test_any_text_has_an_answer(found: list[str], known: list[str]) -> None:
    near = near_names(found, known)
    assert set(near) <= set(found) - set(known)
    assert set(near.values()) <= {*found, *known}
    assert all(name != other for name, other in near.items())


def test_many_are_told_by_the_first() -> None:
    with pytest.raises(InputError, match=r"^x: 'ddpm' is near 'DDPM'; .*; 2 more: do this$"):
        refuse_near("x", ["ddpm", "adm", "cips", "lama", "mat", "imle", "vqgan"], known_names(), [], "do this")
    refuse_near("x", ["ddpm", "Ddpm"], known_names(), ["ddpm", "Ddpm"], "do this")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("own.csv", "generator,date{new_column}\nstylegan-2,2020-01-01{new}\nOther,2025-01-01{no}\n"),
        ("own.yaml", "{new_key}generators: {{stylegan-2: 2020-01-01, Other: 2025-01-01}}\n"),
    ],
)
def test_a_timelines_near_name_is_asked_about(tmp_path: Path, file: str, text: str) -> None:
    words = {"new_column": "", "new": "", "no": "", "new_key": ""}
    (tmp_path / file).write_text(text.format(**words))
    with pytest.raises(InputError, match=r"'stylegan-2' is near 'StyleGAN2': .*'new'"):
        load_timeline(tmp_path / file)
    words = {"new_column": ",new", "new": ",yes", "no": ",", "new_key": "new: [stylegan-2]\n"}
    (tmp_path / file).write_text(text.format(**words))
    assert load_timeline(tmp_path / file).extensions == {"stylegan-2", "Other"}


@pytest.mark.parametrize("new", ["Other", "[Another]", "[[1]]"])
def test_what_is_new_must_be_there(tmp_path: Path, new: str) -> None:
    (tmp_path / "own.yaml").write_text(f"new: {new}\ngenerators: {{Other: 2025-01-01}}\n")
    with pytest.raises(InputError, match=r"'new' in .* must list names that it dates"):
        load_timeline(tmp_path / "own.yaml")


def test_the_command_makes_a_timeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "generators", "Qwen-Image", "Kolors", "CycleGAN", "--csv"]) == 0
    path = tmp_path / "timeline.csv"
    path.write_text(capsys.readouterr().out)
    assert load_timeline(path).extensions == {"Kolors", "Qwen-Image"}
    listed = find_listed(["CycleGAN", "Kolors", "Qwen-Image"])
    assert list(csv.DictReader(path.read_text().splitlines())) == [one.to_dict() for one in listed]


def test_the_command_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "generators", "--since", "2024-08-01", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == [one.to_dict() for one in LISTED if one.released >= date(2024, 8, 1)]
    assert main(["data", "generators", "CycleGAN", "WGAN-GP"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2017-03-30 * CycleGAN ")
    assert lines[1].startswith("2017-04      WGAN-GP ")
    assert lines[2].startswith("2 generators")
    assert main(["data", "generators", "CycleGAN", "--since", "2030-01-01"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nano banana"], "no generator 'nano banana' is on the list; did you mean 'Gemini 2.5 Flash Image'?"),
        (["--since", "yesterday"], "expected a day such as 2024-08-31, found 'yesterday'"),
        (["--json", "--csv"], "not allowed with"),
    ],
)
def test_the_command_tells_what_is_wrong(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "generators", *arguments]) == 2
    assert said in capsys.readouterr().err
