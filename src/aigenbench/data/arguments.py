"""Values that the pipeline's arguments may have."""

from __future__ import annotations

from aigenbench.errors import InputError, nearest

CHOICES = {
    "cache": ("none", "evaluation", "all"),
    "features": ("none", "cache"),
    "features_dtype": ("float16", "bfloat16"),
    "orientation": ("per_epoch", "per_copy"),
}


def check_at_least(least: int, **given: int | None) -> None:
    """Refuse numbers below ``least``; None is none.

    Raises:
        InputError: one is; the message names its key.
    """
    for key, value in given.items():
        if value is not None and value < least:
            must = f"be at least {least}" if least else "be 0 or more"
            raise InputError(f"data.{key} must {must}, found {value}")


def check_choices(**given: str) -> None:
    """Refuse a word that is none of its key's `CHOICES`.

    Raises:
        InputError: one is not; the message names its key and the nearest word.
    """
    for key, choice in given.items():
        known = CHOICES[key]
        if choice not in known:
            raise InputError(f"data.{key}: one of {', '.join(known)}, found {choice!r}{nearest(choice, known)}")
