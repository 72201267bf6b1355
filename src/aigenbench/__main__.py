"""``python -m aigenbench``: the command line."""

from __future__ import annotations

import os
import sys

# Python puts the current folder in front of everything that is installed; anybody's file may lie there
if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109
    del sys.path[0]

from aigenbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
