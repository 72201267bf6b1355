from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from aigenbench.curation.reading.entries import Entry
from aigenbench.curation.reading.names import settle_names
from aigenbench.curation.reading.places import Place
from aigenbench.curation.splits import assign_splits, part_of
from aigenbench.errors import InputError


def entry(file_id: str, generator: str = "", split: str = "", group: str = "", **facts: Any) -> Entry:
    name = file_id.rpartition("/")[2]
    return Entry(Place("file", file_id, "", 1, (1, 1)), file_id, generator, split, name, (file_id, 0), group, facts)


def split_by_group(entries: list[Entry], groups: dict[str, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in entries:
        found.setdefault(groups[one.file_id], set()).add(one.split)
    return found


def test_groups_prompts_and_names_without_suffix_never_straddle() -> None:
    rng = random.Random(0)
    entries, groups = [], {}
    for number in range(400):
        kind, group = rng.choice(("group", "prompt", "stem")), rng.randrange(60)
        file_id = f"{number}/s{group}.png" if kind == "stem" else f"x/{number}.png"
        facts = {"positive_prompt": f"p{group}"} if kind == "prompt" else {}
        entries.append(entry(file_id, rng.choice(("", "A", "B")), "", f"g{group}" if kind == "group" else "", **facts))
        groups[file_id] = f"{kind}{group}"
    assign_splits(entries, 0.2, 0)
    assert all(len(splits) == 1 for splits in split_by_group(entries, groups).values())
    counts = Counter((one.split, one.generator) for one in entries)
    for generator in ("", "A", "B"):
        share = counts["validation", generator] / (counts["validation", generator] + counts["train", generator])
        assert 0.15 < share < 0.3


def test_a_real_goes_with_the_fakes_paired_with_it() -> None:
    reals = [entry(f"r{n}") for n in range(20)]
    fakes = [entry(f"f{n}", "A", paired_real_images=[f"r{n}"]) for n in range(20)]
    assign_splits([*reals, *fakes], 0.5, 1)
    assert [one.split for one in reals] == [one.split for one in fakes]
    assert {one.split for one in reals} == {"train", "validation"}


def test_a_said_split_holds_for_the_rest_of_its_group() -> None:
    entries = [entry("a/1.png", split="validation"), entry("b/1.jpg", "A"), entry("a/2.png", split="train")]
    assign_splits(entries, 0.0, 0)
    assert [one.split for one in entries] == ["validation", "validation", "train"]


def test_splits_depend_on_the_seed_and_not_on_the_order() -> None:
    def drawn(seed: int, order: int) -> dict[str, str]:
        entries = [entry(f"{n}.png", "A" if n % 2 else "") for n in range(60)]
        random.Random(order).shuffle(entries)
        assign_splits(entries, 0.3, seed)
        return {one.file_id: one.split for one in entries}

    assert drawn(0, 1) == drawn(0, 2)
    assert drawn(0, 1) != drawn(1, 1)
    assert Counter(drawn(0, 1).values()) == {"train": 42, "validation": 18}


def test_the_largest_group_is_told() -> None:
    assert assign_splits([entry(f"{n}/same.png") for n in range(7)] + [entry("other.png")], 0.2, 0) == 7


def test_a_part_holds_as_many_reals_as_fakes_or_all_there_are() -> None:
    entries = [entry(f"f{n}", "AB"[n % 2], "train") for n in range(20)] + [
        entry(f"r{n}", "", "train") for n in range(9)
    ]
    for per_generator, reals in ((3, 6), (5, 9)):
        assert Counter(one.generator for one in part_of(entries, per_generator, 0)) == {
            "A": per_generator,
            "B": per_generator,
            "": reals,
        }


@pytest.mark.parametrize("name", ["Stable Difusion 1.5", "stylegan-2", "Big GAN", "midjourney", "Midjourneys"])
def test_a_name_near_a_known_one_is_asked_about(name: str) -> None:
    known = ("Stable Diffusion 1.5", "StyleGAN2", "BigGAN", "Midjourney")
    with pytest.raises(InputError, match=r"is near '.*--rename .*--new-generator"):
        settle_names([entry("a", name)], known, {}, [])
    entries = [entry("a", name), entry("b", "BigGAN"), entry("c")]
    settle_names(entries, known, {}, [name])
    assert [one.generator for one in entries] == [name, "BigGAN", ""]
    settle_names(entries, known, {name: "BigGAN"}, [])
    assert [one.generator for one in entries] == ["BigGAN", "BigGAN", ""]


def test_two_new_names_that_are_nearly_one_are_asked_about() -> None:
    with pytest.raises(InputError, match="'Imagine-3' is near 'Imagine 3'"):
        settle_names([entry("a", "Imagine 3"), entry("b", "Imagine-3")], ["BigGAN"], {}, [])
    settle_names([entry("a", "Imagine 3"), entry("b", "Firefly")], ["BigGAN"], {}, [])


@pytest.mark.parametrize("name", ["Stable Diffusion 1.6", "Midjourney v6", "Midjourney v99", "Kolors", "BiGAN"])
def test_another_number_is_another_generator(name: str) -> None:
    settle_names([entry("a", name)], ("Stable Diffusion 1.5", "Midjourney", "BigGAN"), {}, [])


def test_an_answer_about_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no image is of generator 'X'; found A"):
        settle_names([entry("a", "A")], [], {"X": "A"}, [])
