"""The command `aigenbench` under the name and in the place where the benchmark's users expect it."""

from __future__ import annotations

import sys

# code of one's own may lie beside this file, but nothing there takes the place of what is installed
if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))

from aigenbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
