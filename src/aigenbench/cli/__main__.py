"""`python -m aigenbench.cli`: the command `aigenbench` of one certain Python."""

from __future__ import annotations

import sys

from aigenbench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
