"""The command line with everything imported up front: what `start_up.py` compares with.

python benchmarks/eager.py COMMAND ... does what python -m aigenbench COMMAND ... does.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import aigenbench

LIBRARIES = (
    "datasets",
    "huggingface_hub",
    "jinja2",
    "jsonargparse",
    "lightning.pytorch",
    "matplotlib.pyplot",
    "open_clip",
    "pyarrow",
    "rich",
    "sklearn.metrics",
    "sklearn.model_selection",
    "tensorboard",
    "timm",
    "torch.utils.tensorboard",
    "torchmetrics",
    "torchvision",
)
"""What the package depends on and uses somewhere."""


def import_everything() -> None:
    """Import every library and every module of the package."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(aigenbench.__path__, "aigenbench."):
        if not module.name.endswith("__main__") and ".templates" not in module.name:
            importlib.import_module(module.name)


if __name__ == "__main__":
    import_everything()
    from aigenbench.cli import main

    sys.exit(main())
