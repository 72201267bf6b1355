"""Where tests find what is shared and may be absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("AIGENBENCH_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with golden files, fixtures and real images beside the checkout; tests skip without it."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED}")
    return SHARED
