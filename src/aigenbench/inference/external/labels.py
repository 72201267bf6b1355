"""Which of a classifier's labels stand for fake: told by their names, or by the user; never guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aigenbench.errors import InputError, nearest

_FAKE = ("fake", "fakes", "ai", "aigenerated", "artificial", "artificially", "generated", "synthetic", "deepfake")
_REAL = ("real", "reals", "human", "natural", "nature", "authentic", "genuine", "camera", "photo", "photograph")
_NOT = ("not", "non", "no", "un")


def fake_columns(labels: Sequence[str], named: Sequence[str], where: str) -> list[int]:
    """The positions of the labels that stand for fake.

    Args:
        labels: of the outputs, in order.
        named: those that the user says are fake; empty to go by the names.
        where: what has them, for the message.

    Raises:
        InputError: the names do not tell, the user names one that is not there, or all of several.
    """
    for name in named:
        if name not in labels:
            raise InputError(
                f"--fake-label: {where} has no label {name!r}; it has {_listed(labels)}{nearest(name, labels)}"
            )
    if named:
        chosen = [i for i, label in enumerate(labels) if label in named]
        if len(chosen) == len(labels) > 1:
            raise InputError(f"--fake-label names every label of {where} ({_listed(labels)}); some must stand for real")
        return chosen
    kinds = [_kind(label) for label in labels]
    if len(labels) > 1 and "" not in kinds and {"fake", "real"} <= set(kinds):
        return [i for i, kind in enumerate(kinds) if kind == "fake"]
    one = " (its one output is then taken for the logit of fake)" if len(labels) == 1 else ""
    raise InputError(
        f"{where} has the labels {_listed(labels)}, which do not tell fake from real: say which stands for fake with "
        f"--fake-label NAME{one}"
    )


def _kind(label: str) -> str:
    words = re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", label).lower())
    fake, real = (any(word in known for word in words) for known in (_FAKE, _REAL))
    if fake == real or any(word in _NOT for word in words):
        return ""
    return "fake" if fake else "real"


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(map(repr, labels[:6])) + (f" and {len(labels) - 6} more" if len(labels) > 6 else "")
