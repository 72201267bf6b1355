"""What the tests of the import share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from curation_forms import Forms


@pytest.fixture(scope="session")
def forms() -> Forms:
    """Makes sources."""
    return Forms()


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def content() -> Any:
    """``content_of``."""
    return content_of
