"""The names of images, whatever copy they lie in."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.protocol.identity import data_fingerprint, image_keys, training_fingerprint


def test_a_key_is_the_first_eight_bytes_of_the_names_hash() -> None:
    names = ["GenImage/Midjourney/train/ai/308_midjourney_45", "COCO2017_val/139", "é"]
    expected = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") for name in names]
    assert image_keys(names).tolist() == expected
    assert image_keys(names).dtype == np.uint64
    assert image_keys([]).shape == (0,)


@given(st.permutations(range(8)))
def test_fingerprints_do_not_depend_on_the_order(order: list[int]) -> None:
    keys, generators = image_keys(map(str, range(8))), [*"AABB", "", "", "", ""]
    shuffled = [generators[i] for i in order]
    assert data_fingerprint(keys[order], shuffled) == data_fingerprint(keys, generators)
    assert training_fingerprint(keys[order]) == training_fingerprint(keys)


def test_fingerprints_tell_images_and_generators_apart() -> None:
    keys = image_keys("abc")
    found = {
        data_fingerprint(keys, ["A", "", ""]),
        data_fingerprint(keys, ["B", "", ""]),
        data_fingerprint(image_keys("abd"), ["A", "", ""]),
        training_fingerprint(keys),
        training_fingerprint(keys[:2]),
    }
    assert len(found) == 5
    assert all(len(one) == 16 for one in found)
