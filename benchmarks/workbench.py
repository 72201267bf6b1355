"""Ten heads and transforms on stored features, all of them together, against one ordinary probe run.

Demo data, nine windows, a small vision transformer (vit_tiny, 224 pixels, its weights drawn at random), one orientation
for each image and copy, two loader workers and one thread of torch. Whole runs of `aigenbench fit` inside one process,
imports left out; the features are stored before, which is told apart.

    python benchmarks/workbench.py [--train 4] [--validation 2] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy loads its matrix library

import logging
import tempfile
from pathlib import Path

import torch

import aigenbench.cli
from claims import Results, parser, three
from features import CACHED, run

VARIANTS = {
    "linear": ("linear", "null"),
    "unit sphere": ("linear", "normalise"),
    "standardised": ("linear", "standardise"),
    "SimLBR": ("linear", "simlbr"),
    "MLP": ("mlp", "null"),
    "MLP on standardised, SimLBR": ("mlp", "[standardise, simlbr]"),
    "5 nearest neighbours": ("knn", "null"),
    "prototypes": ("prototypes", "null"),
    "prototypes of generators": ("{prototypes: {by: generator}}", "normalise"),
    "Mahalanobis distance": ("distance", "null"),
}


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--train", type=int, default=4, help="train fakes of each generator")
    arguments.add_argument("--validation", type=int, default=2, help="evaluated fakes of each generator")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    results = Results("workbench", "Heads on stored features")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = ["--train", str(options.train), "--validation", str(options.validation)]
        aigenbench.cli.main(["demo-data", str(folder / "data"), *sizes])
        logging.getLogger("aigenbench").setLevel(logging.WARNING)
        run(folder, "warm_up", "--experiment_info.sliding_windows_definition.current_window=0")
        embedding = run(folder, "embedding", CACHED)
        ordinary: list[float] = []
        seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        for i in range(options.repeats):
            ordinary.append(run(folder, f"ordinary_{i}"))
            for number, (variant, (head, transform)) in enumerate(VARIANTS.items()):
                chosen = (f"--model.head={head}", f"--model.transform={transform}")
                seconds[variant].append(run(folder, f"variant_{number}_{i}", CACHED, *chosen))
            together = sum(values[-1] for values in seconds.values())
            print(f"ordinary {ordinary[-1]:.1f} s, ten variants together {together:.1f} s", flush=True)
        shares = [sum(values[i] for values in seconds.values()) / one for i, one in enumerate(ordinary)]
        results.claim("ten variants together, of one ordinary run's time", [100 * s for s in shares], "%", "<= 25")
        rows = [("an ordinary run", *three(ordinary)), ("the first run on stored features", *[embedding] * 3)]
        rows += [(variant, *three(values)) for variant, values in seconds.items()]
        results.table("Seconds of whole runs over nine windows", ["run", "median", "least", "greatest"], rows)
    results.finish(options.json)


if __name__ == "__main__":
    main()
