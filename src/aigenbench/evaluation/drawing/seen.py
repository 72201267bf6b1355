"""What tables tell of a detector that no run of the protocol has trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def starred(names: Sequence[str], foreign: Mapping[str, Any] | None) -> str:
    """Names of generators, with ``*`` those that a detector which no run of the protocol has trained had seen."""
    seen = (foreign or {}).get("seen_generators") or ()
    return ", ".join(f"{name}*" if name in seen else name for name in names)


def foreign_lines(foreign: Mapping[str, Any] | None) -> list[str]:
    """What a terminal is told of such a detector; nothing of others."""
    if foreign is None:
        return []
    lines = ["Not trained by the protocol: what stands as Past it may not have seen, and as Next it may have."]
    for part, group in foreign["groups"].items():
        of = {"seen": "the generators seen (*)", "unseen": "the unseen", "unknown": "all, seen or not"}[part]
        value = f"{100 * group['auroc']:.2f} %" if group["auroc"] is not None else "no images"
        lines.append(f"AUROC over {of}: {value}, {group['pairs']:,} pairs")
    return lines
