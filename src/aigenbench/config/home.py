"""`~` in a configuration: the one place that expands it, for every value of every layer."""

from __future__ import annotations

import os
import re
from typing import Any

# no value but a path begins like this, whatever its key; a user's own arguments have keys that nobody can list
_HOME = re.compile(r"~[^/\s]*/|~$")


def expand_home(value: Any) -> Any:
    """A copy of `value` with every text in it that begins with `~/` or `~user/` made a full path.

    Args:
        value: a layer's values: mappings and lists of any depth.
    """
    if isinstance(value, dict):
        return {key: expand_home(item) for key, item in value.items()}
    if isinstance(value, list):
        return [expand_home(item) for item in value]
    if not isinstance(value, str) or not _HOME.match(value):
        return value
    # text typed on the command line stays what it is: its argument's type says how to read it
    return type(value)(os.path.expanduser(value))  # noqa: PTH111 - leaves the name of an unknown user as it is
