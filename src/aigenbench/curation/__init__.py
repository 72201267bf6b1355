"""Getting images into the protocol: import of folders, archives, tables, and of the published benchmark's parts."""

from __future__ import annotations

from aigenbench.curation.benchmark import import_benchmark
from aigenbench.curation.importing import import_data
from aigenbench.curation.work import Imported

__all__ = ["Imported", "import_benchmark", "import_data"]
