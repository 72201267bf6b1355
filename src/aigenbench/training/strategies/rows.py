"""Strategies that say which images a window trains on."""

from __future__ import annotations

import numpy as np

from aigenbench.protocol.windows import Rows
from aigenbench.training.strategies.base import RowsContext, Strategy


class Cumulative(Strategy):
    """All images so far: a window's own, then the earlier windows', latest first."""

    def rows(self, context: RowsContext) -> Rows:
        """The rows of all windows so far."""
        return np.concatenate(context.own[context.window :: -1])


class NewWindow(Strategy):
    """The new window's images alone."""

    def rows(self, context: RowsContext) -> Rows:
        """The window's own rows."""
        return context.own[context.window]
