"""Damage that keeps a file's form: what a broken copy, another program or a hostile author leaves in it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

ODD_NUMBERS = (0, 1, 2, 7, 8, 127, 255, 2**15, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)


def overwritten_number(data: bytes, rng: random.Random) -> bytes:
    """One aligned number of 1, 2, 4 or 8 bytes is another, often an extreme one or a neighbour."""
    width = rng.choice((1, 2, 4, 4, 4, 8, 8))
    if len(data) < width:
        return data
    at = rng.randrange(0, len(data) - width + 1, width)
    found = int.from_bytes(data[at : at + width], "little")
    number = rng.choice((*ODD_NUMBERS, found + 1, found - 1, found * 2, -found, rng.getrandbits(64), len(data)))
    return data[:at] + struct.pack("<Q", number % 2**64)[:width] + data[at + width :]


def cut(data: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data) + 1)]


def grown(data: bytes, rng: random.Random) -> bytes:
    """Something stands behind the end."""
    return data + rng.randbytes(rng.choice((1, 8, 100)))


def moved(data: bytes, rng: random.Random) -> bytes:
    """A piece is left out, doubled, or overwrites another."""
    start, length, to = (rng.randrange(len(data) + 1), rng.randrange(1, 200), rng.randrange(len(data) + 1))
    piece = data[start : start + length]
    return rng.choice(
        (data[:start] + data[start + length :], data[:to] + piece + data[to:], data[:to] + piece + data[to + length :])
    )


def zeroed(data: bytes, rng: random.Random) -> bytes:
    """A piece is zero, as in a copy that was broken off."""
    start, length = rng.randrange(len(data) + 1), rng.choice((8, 64, 512, len(data)))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(overwritten_number,) * 6,
    cut,
    grown,
    moved,
    zeroed,
)


def mutated(data: bytes, rng: random.Random, most: int = 4) -> bytes:
    """``data`` after one to ``most`` of these."""
    for _ in range(rng.randint(1, most)):
        data = rng.choice(BYTES)(data, rng)
    return data
