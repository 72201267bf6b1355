from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.config.carried import settle
from aigenbench.config.merge import merge, spread
from aigenbench.errors import InputError

KEYS = st.sampled_from(["a", "b", "c", "class", "d.e"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["x", "y", ""])
LEAVES = SCALARS | st.lists(SCALARS, max_size=3)
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3),
    lambda inner: st.dictionaries(KEYS, LEAVES | inner, max_size=3),
    max_leaves=8,
)


def leaves(value, at=()):
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*at, key))
    else:
        yield at, value


def at(value, path):
    for part in path:
        value = value[part]
    return value


@given(TREES, TREES)
def test_every_leaf_of_the_later_layer_wins(earlier, later):
    merged = merge(earlier, later)
    for path, value in leaves(later):
        if value != {}:
            assert at(merged, path) == value


@given(TREES, TREES)
def test_leaves_that_the_later_layer_does_not_touch_stay(earlier, later):
    merged = merge(earlier, later)
    theirs = [path for path, _ in leaves(later)]
    for path, value in leaves(earlier):
        touched = any(path[: len(other)] == other or other[: len(path)] == path for other in theirs if other)
        if path and not touched:
            assert at(merged, path) == value


@given(TREES)
def test_an_empty_layer_changes_nothing_and_twice_is_once(tree):
    assert merge(tree, {}) == tree
    assert merge({}, tree) == tree
    assert merge(tree, tree) == tree


@given(TREES, TREES)
def test_nothing_that_goes_in_is_changed_or_shared(earlier, later):
    before = copy.deepcopy((earlier, later))
    merged = merge(earlier, later)
    for path, value in leaves(merged):
        if isinstance(value, list):
            value.append("changed")
        elif path:
            at(merged, path[:-1])[path[-1]] = "changed"
    assert (earlier, later) == before


@given(st.lists(SCALARS, max_size=3), st.lists(SCALARS, max_size=3), st.lists(SCALARS, max_size=3))
def test_lists_replace_and_plus_appends(first, second, third):
    assert merge({"k": first}, {"k": second}) == {"k": second}
    assert merge({"k": first}, {"k+": second}) == {"k": first + second}
    assert merge(merge({"k": first}, {"k+": second}), {"k+": third}) == {"k": first + second + third}
    assert merge({}, {"k+": second}) == {"k": second}
    assert merge({"k": first}, {"k": second, "k+": third}) == {"k": second + third}


def test_plus_appends_one_item_and_to_one_class():
    a, b = {"class_path": "m.A"}, {"class_path": "m.B"}
    assert merge({"k": [a]}, {"k+": b})["k"] == [a, b]
    assert merge({"k": a}, {"k+": [b]})["k"] == [a, b]
    assert merge({"k": False}, {"k+": [b]})["k"] == [b]
    with pytest.raises(InputError, match=r"my.yaml: t.k\+ appends to a list, but t.k is 3"):
        merge({"t": {"k": 3}}, {"t": {"k+": [b]}}, source="my.yaml")


def loggers(*folders):
    return [{"class_path": f"m.L{i}", "init_args": {"save_dir": f, "n": i}} for i, f in enumerate(folders)]


def test_items_without_a_class_path_patch_by_position(caplog):
    patched = merge({"logger": loggers("a", "b")}, {"logger": [{"init_args": {"save_dir": "x"}}]})["logger"]
    assert patched == loggers("x", "b")
    patched = merge({"logger": loggers("a", "b")}, {"logger": [{}, {"save_dir": "y"}]})["logger"]
    assert patched == loggers("a", "y")
    one = merge({"logger": loggers("a")[0]}, {"logger": [{"init_args": {"save_dir": "x"}}]})["logger"]
    assert one == loggers("x")
    assert not caplog.records


def test_a_patch_beside_a_named_class_builds_the_new_list():
    other = {"class_path": "m.Other"}
    merged = merge({"l": loggers("a", "b", "c")}, {"l": [{"init_args": {"save_dir": "x"}}, other]})["l"]
    assert merged == [loggers("x")[0], other]


def test_a_patch_for_an_item_that_is_not_there_is_a_warning(caplog):
    patch = {"trainer": {"logger": [{"init_args": {"save_dir": "x"}}, {"init_args": {"save_dir": "y"}}]}}
    merged = merge({"trainer": {"logger": loggers("a")}}, patch, source="model.yaml")
    assert merged["trainer"]["logger"] == loggers("x")
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "model.yaml: trainer.logger.1 patches an item that no earlier config has" in caplog.text


def test_plain_mappings_in_a_list_are_values():
    stages = [{"depth": 1}, {"depth": 2}]
    assert merge({"model_args": {"stages": [{"depth": 3, "w": 1}]}}, {"model_args": {"stages": stages}}) == {
        "model_args": {"stages": stages}
    }


def test_a_mapping_over_a_list_patches_the_last_item_or_those_it_numbers(caplog):
    both = {"l": loggers("a", "b")}
    assert merge(both, {"l": {"save_dir": "x"}})["l"] == loggers("a", "x")
    assert merge(both, {"l": {"0": {"save_dir": "x"}}})["l"] == loggers("x", "b")
    assert merge(both, {"l": {"2": {"save_dir": "x"}}})["l"] == loggers("a", "b")
    assert "l.2 patches an item that no earlier config has" in caplog.text


SGD = {"class_path": "o.SGD", "init_args": {"lr": 1, "momentum": 2}}
TAKES = {"o.SGD": ["lr", "momentum"], "o.Adam": ["lr", "betas"], "o.Any": None}


def settled(merged):
    return settle(merged, TAKES.get)


def test_a_changed_class_keeps_the_arguments_it_also_has(caplog):
    merged = settled(merge({"opt": SGD}, {"opt": {"class_path": "o.Adam"}}, "my.yaml"))
    assert merged["opt"] == {"class_path": "o.Adam", "init_args": {"lr": 1}}
    assert "my.yaml: opt changes from o.SGD to o.Adam, which does not take momentum: dropped" in caplog.text


def test_nothing_is_dropped_for_the_same_class_or_one_that_takes_anything(caplog):
    same = settled(merge({"opt": SGD}, {"opt": {"class_path": "o.SGD", "lr": 3}}))
    assert same["opt"]["init_args"] == {"lr": 3, "momentum": 2}
    assert settled(merge({"opt": SGD}, {"opt": {"class_path": "o.Any"}}))["opt"]["init_args"] == SGD["init_args"]
    assert not caplog.records


def test_arguments_of_the_new_class_are_not_checked_here():
    # an unknown one is an error of its own, with the nearest known: never dropped in silence
    merged = settled(merge({"opt": SGD}, {"opt": {"class_path": "o.Adam", "init_args": {"momentun": 5}}}))
    assert merged["opt"]["init_args"] == {"lr": 1, "momentun": 5}


def test_what_one_change_has_dropped_does_not_come_back_with_another(caplog):
    merged = merge({"opt": SGD}, {"opt": {"class_path": "o.Adam"}}, "a.yaml")
    merged = merge(merged, {"opt": {"class_path": "o.SGD"}}, "b.yaml")
    assert settled(merged)["opt"]["init_args"] == {"lr": 1}
    assert len(caplog.records) == 1
    assert settled(merge(merged, {"opt": {"momentum": 7}}))["opt"]["init_args"] == {"lr": 1, "momentum": 7}


def test_a_mapping_over_an_argument_that_is_dropped_stands_alone():
    takes = {"m.A": ["args"], "m.B": [], "m.C": ["args"]}
    layers = [
        {"class_path": "m.A", "init_args": {"args": {"a": 1, "l": [1]}}},
        {"class_path": "m.B"},
        {"class_path": "m.C", "init_args": {"args": {"b": 2, "l+": [2]}}},
    ]
    merged: dict[str, Any] = {}
    for one in layers:
        merged = merge(merged, {"model": one})
    assert settle(merged, takes.get)["model"]["init_args"] == {"args": {"b": 2, "l": [2]}}
    assert settle(merged, lambda _: None)["model"]["init_args"] == {"args": {"a": 1, "b": 2, "l": [1, 2]}}


def test_arguments_may_stand_beside_init_args_but_not_twice():
    assert merge({"opt": SGD}, {"opt": {"lr": 7}})["opt"]["init_args"]["lr"] == 7
    assert spread({"class_path": "o.A", "x": 1}, ()) == {"class_path": "o.A", "init_args": {"x": 1}}
    with pytest.raises(InputError, match=r"model\.lr and model\.init_args\.lr are the same argument"):
        spread({"lr": 1, "init_args": {"lr": 2}}, ("model",))


@pytest.mark.parametrize("bad", [3, "x", [1]])
def test_init_args_must_be_a_mapping(bad):
    with pytest.raises(InputError, match=r"opt\.init_args: expected a mapping"):
        merge({"opt": SGD}, {"opt": {"init_args": bad}})
    with pytest.raises(InputError, match=r"opt\.init_args: expected a mapping"):
        merge({}, {"opt": {"class_path": "o.A", "init_args": bad}})
