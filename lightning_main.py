"""The command `aigenbench` under the name and in the place where the benchmark's users expect it."""

from __future__ import annotations

import sys

from aigenbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
