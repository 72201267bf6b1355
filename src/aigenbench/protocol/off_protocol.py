"""Results off protocol: of a training that breaks a rule of the benchmark (protocol section 8), and says so itself.

A training names its reasons; they go with its weights into checkpoints and predictions, and wherever numbers appear.
"""

from __future__ import annotations

from collections.abc import Iterable

OFF_PROTOCOL = "off protocol"


def gathered(*reasons: Iterable[str] | None) -> tuple[str, ...]:
    """Reasons of several origins, each once."""
    return tuple(dict.fromkeys(reason for some in reasons for reason in some or ()))


def told(reasons: Iterable[str]) -> str:
    """The reasons in words; "" without any."""
    known = "; ".join(reasons)
    return f"{OFF_PROTOCOL}: {known}" if known else ""


def marked(name: str, reasons: Iterable[str]) -> str:
    """The name of what has these reasons, as it stands beside its numbers."""
    return f"{name} ({OFF_PROTOCOL})" if tuple(reasons) else name
