"""Damage to what a file says: values, keys, texts, members of archives."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fuzz.mutators import mutated

ODD_TEXTS = (
    *("", " ", "a" * 5000, "\x1b[2Jaccepted", "two\nlines", "\u202eabc", "../../a", "/dev/zero", "<script>x</script>"),
    *(
        "{{ 7 * 7 }}",
        "NaN",
        "1e999",
        "2001-99-99",
        "0x10",
        "~",
        "*a",
        "&a",
        "!!python/name:os.system",
        "\x00",
        "\ud800",
    ),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), [], {}, [[]], [None] * 50, {"": None}, {"a": {"b": [1]}}),
)


def odd(rng: random.Random) -> Any:
    """A value that is seldom expected."""
    return copy.deepcopy(rng.choice((*ODD_TEXTS, *ODD_VALUES, *ODD_VALUES)))


def changed(value: Any, rng: random.Random) -> Any:
    """A copy in which one part, anywhere, is another, is gone, stands twice, or lies deep within lists."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places or rng.random() < 0.05:
        return odd(rng)
    parent, key = rng.choice(places)
    how = rng.random()
    if how < 0.6:
        parent[key] = odd(rng)
    elif how < 0.75:
        del parent[key]
    elif how < 0.85:
        other, place = rng.choice(places)
        parent[key] = copy.deepcopy(other[place])
    elif how < 0.9:
        for _ in range(rng.choice((3, 70, 200))):
            parent[key] = [parent[key]]
    elif isinstance(parent, dict):
        parent[rng.choice((str(key).upper(), f"{key} ", f"{key}x", *ODD_TEXTS))] = parent[key]
    else:
        parent.append(odd(rng))
    return value


def _places(value: Any) -> Any:
    # what was put deep within lists is not gone into
    waiting = [(value, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth < 20 and isinstance(node, dict | list):
            for key in node if isinstance(node, dict) else range(len(node)):
                yield node, key
                waiting.append((node[key], depth + 1))


def json_bytes(value: Any, rng: random.Random) -> bytes:
    """``value`` as JSON, changed in its parts or in its bytes."""
    for _ in range(rng.randint(0, 2)):
        value = changed(value, rng)
    data = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    how = rng.random()
    if how < 0.25:
        return mutated(data, rng)
    if how < 0.35:
        return data.replace(b": ", rng.choice((b': "x", "x": ', b": NaN, ", b":" + b"[" * 20000, b": -")), 1)
    if how < 0.4:
        return data.decode("utf-8", "replace").encode(
            rng.choice(("utf-16", "utf-8-sig", "utf-32-le", "latin-1")), "replace"
        )
    return data


def archive(members: Mapping[str, bytes], rng: random.Random, damaged: bool = True) -> bytes:
    """A zip file, often with odd compression, names, doubled members, or lies in its headers."""
    target = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(target, "w") as file:
        for name, data in members.items():
            method = rng.choice(methods) if damaged and rng.random() < 0.1 else rng.choice(methods[:2])
            shown = (
                rng.choice(("../" + name, "/" + name, name + "/", name.upper()))
                if damaged and rng.random() < 0.03
                else name
            )
            entry = zipfile.ZipInfo(shown)
            if damaged and rng.random() < 0.02:
                entry.external_attr = 0o120777 << 16
            file.writestr(entry, data, method)
    data = target.getvalue()
    if damaged and rng.random() < 0.4:
        data = _lied(data, rng)
    return mutated(data, rng) if damaged and rng.random() < 0.15 else data


def _lied(data: bytes, rng: random.Random) -> bytes:
    """A number in a header of the archive is another."""
    signature, length = rng.choice(((b"PK\x03\x04", 30), (b"PK\x01\x02", 46), (b"PK\x05\x06", 22)))
    places = [i for i in range(len(data)) if data.startswith(signature, i)] if len(data) < 200_000 else []
    at = rng.choice(places) if places else data.rfind(signature)
    head = bytearray(data[at : at + length])
    for _ in range(rng.randint(1, 2)):
        width = rng.choice((2, 4))
        place = rng.randrange(4, max(len(head) - width, 5))
        number = rng.choice((0, 1, 8, 12, 14, 99, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, rng.getrandbits(32)))
        head[place : place + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")
    return data[:at] + bytes(head) + data[at + length :]


def npz(arrays: Mapping[str, Any], rng: random.Random, damaged: bool = True) -> bytes:
    """Arrays as an ``.npz`` file, with damage in values, headers or archive."""
    arrays = dict(arrays)
    for _ in range(rng.randint(0, 2) if damaged else 0):
        name = rng.choice(list(arrays))
        change = rng.choice(_ARRAYS)(arrays[name], rng)
        if change is None:
            del arrays[name]
        else:
            arrays[name] = change
    members = {}
    for name, array in arrays.items():
        target = io.BytesIO()
        np.lib.format.write_array(target, np.asarray(array), version=None, allow_pickle=True)
        data = target.getvalue()
        members[f"{name}.npy"] = _header(data, rng) if damaged and rng.random() < 0.01 else data
    return archive(members, rng, damaged and rng.random() < 0.3)


def _value(array: Any, rng: random.Random) -> Any:
    if not array.size:
        return array
    array = array.copy()
    place = rng.randrange(array.size)
    if array.dtype.kind == "U":
        array = array.astype("U40")
        array.flat[place] = rng.choice(ODD_TEXTS)
        if rng.random() < 0.2:
            array.reshape(-1).view(np.uint32)[place * 40] = rng.choice((0x110000, 0xD800, 2**31))
    else:
        with np.errstate(all="ignore"):
            array.flat[place] = np.array(rng.choice((0, 1, -1, 7, 2**62, -(2**62), float("nan"), 1e30, 0.5))).astype(
                array.dtype
            )
    return array


_KINDS = ("float16", "float64", "int8", "uint64", "bool", "complex64", "U3", "S3", "object", "M8[D]", ">i8", ">f4")


def _kind(array: Any, rng: random.Random) -> Any:
    try:
        return array.astype(rng.choice(_KINDS))
    except (ValueError, TypeError):
        return np.array([("a", 1)], dtype=[("x", "U1"), ("y", "i4")])


_ARRAYS: tuple[Callable[[Any, random.Random], Any], ...] = (
    *(_value,) * 4,
    *(_kind,) * 2,
    lambda array, rng: None,
    lambda array, rng: array[: rng.randrange(len(array))] if array.ndim and len(array) else array[..., None],
    lambda array, rng: rng.choice(
        (array[None], array[..., None], array.ravel()[:1].reshape(()) if array.size else array)
    ),
    lambda array, rng: array[::-1] if array.ndim else array,
    lambda array, rng: np.concatenate([array, array]) if array.ndim else array,
)


def _header(data: bytes, rng: random.Random) -> bytes:
    end = data.index(b"\n")
    text = data[10:end].decode("latin-1")
    shapes = (
        "()",
        "(-1,)",
        "(10**9,)",
        "(1000000000000,)",
        "(0, 1000000000000)",
        "(2, 3, 4, 5, 6)",
        "(1" * 500,
        "(" * 5000,
    )
    kinds = ("'<f8'", "'|O'", "'<U0'", "'<U1000000000'", "[('a', '<f4')]", "'|V8'", "'<m8[s]'", "__import__('os')")
    changed = rng.choice(
        (
            text[: text.index("'shape'")] + f"'shape': {rng.choice(shapes)}, }}",
            "{'descr': " + rng.choice(kinds) + text[text.index(", 'fortran") :],
            text.replace("False", rng.choice(("True", "None", "1"))),
            rng.choice(("", "{}", "[" * 9000, "\xff" * 20, text.replace("'", '"'), text.strip() + "#")),
        )
    ).encode("latin-1")
    length = rng.choice((len(changed), len(changed), 0, 65535))
    version = rng.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    width = 2 if version[0] == 1 else 4
    return data[:6] + version + length.to_bytes(width, "little") + changed + data[end:]
