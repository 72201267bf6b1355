"""Looking at pictures with an exported detector: scores, and what else there is to say of each."""

from aigenbench.inference.looking.detecting import Asked, Result, detect, with_groups
from aigenbench.inference.looking.explain import Heat, heat, overlay, write_overlay
from aigenbench.inference.looking.grouping import Group, fingerprint, grouped
from aigenbench.inference.looking.metadata import Fact
from aigenbench.inference.looking.metadata import read as read_metadata
from aigenbench.inference.looking.places import find
from aigenbench.inference.looking.stability import Stability, tried

__all__ = [
    "Asked",
    "Fact",
    "Group",
    "Heat",
    "Result",
    "Stability",
    "detect",
    "find",
    "fingerprint",
    "grouped",
    "heat",
    "overlay",
    "read_metadata",
    "tried",
    "with_groups",
    "write_overlay",
]
