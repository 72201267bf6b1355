from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.errors import InputError
from aigenbench.yaml_text import Typed, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("+3", 3),
        ("0", 0),
        ("0x1F", 31),
        ("~", None),
        ("", None),
        ("true", True),
        ("off", False),
        # what YAML 1.1 would turn into a number or a date
        ("123_4", "123_4"),
        ("1:30", "1:30"),
        ("2025-01-01", "2025-01-01"),
        ("007", "007"),
        ("e3", "e3"),
        ("none", "none"),
        ("'5'", "5"),
    ],
)
def test_plain_scalars_mean_what_people_mean(text, value):
    found = read_yaml(f"key: {text}", "here")["key"]
    assert found == value
    assert type(found) is type(value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_what_is_written_reads_back_equal(value):
    assert read_yaml(write_yaml(value), "here") == value


@given(st.text(alphabet="a \n\t'\":#\x85\u2028\u2029\ufeff\r\x7f\\", max_size=8))
def test_text_with_any_breaks_and_quotes_reads_back_equal(text):
    assert read_yaml(write_yaml({text: [text, {"k": text}]}), "here") == {text: [text, {"k": text}]}


@given(st.text(alphabet="0123456789eE.+-_:xnoyesffu~<=TA", max_size=8))
def test_text_that_looks_like_something_else_stays_text_for_any_reader(text):
    written = write_yaml({"key": text})
    assert read_yaml(written, "here") == {"key": text}
    assert yaml.safe_load(written) == {"key": text}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "the key 'a' is given twice (line 3, column 1)"),
        ("a: {b: 1, b: 1}", "the key 'b' is given twice"),
        ("a: [", "line 2, column 1"),
        ("a: b: c", "line 1, column 5"),
        ("\t- x", "line 1, column 1"),
        ("a: !!python/object:os.system x", "tag"),
        ("a: \x00", "unacceptable character"),
        ("{a: 1}: 2", "unhashable"),
    ],
)
def test_bad_yaml_is_one_line_with_the_file_and_place(text, told):
    with pytest.raises(InputError) as caught:
        read_yaml(text, "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml is not valid YAML: ")
    assert told in message
    assert "\n" not in message


def test_anchors_and_merge_keys_are_not_taken_for_doubles():
    assert read_yaml("a: &x {b: 1, c: 1}\nd:\n  <<: *x\n  b: 2", "here")["d"] == {"b": 2, "c": 1}


def test_typed_text_is_read_only_when_asked():
    assert Typed("123_4") == "123_4"
    assert Typed("1e-3").value == 0.001
    assert Typed("").value == ""
    assert Typed("{a: 1").value == "{a: 1"
