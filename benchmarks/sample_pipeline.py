"""Images a second through decoding and augmenting, against decoding alone and against a plain implementation.

One process, one thread; files made up in memory: 0.455 megapixels on average, 81% JPEG, the others PNG and WebP.
Times are the processor's, so that other load counts little. Every repeat goes through the files once, a few at a time
through all pipelines, so the ratios of a repeat share its circumstances; what is drawn differs between repeats.

    python benchmarks/sample_pipeline.py [--images 480] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy loads its matrix library

import io
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from aigenbench.augmentations import (
    BaselineTraining,
    EvaluationCrops,
    MandatoryEvaluation,
    MandatoryTraining,
    StepsRecipe,
    StochasticTraining,
)
from aigenbench.augmentations.images import size_of
from aigenbench.augmentations.memory import keep_freed_memory
from aigenbench.augmentations.operations import apply, apply_one
from aigenbench.data.pictures.decode import decode
from claims import Results, parser
from plain_reference import PlainEvaluation, PlainTraining

SIDE = 224
SIZES = {  # (width, height): share; 0.455 megapixels on average
    (256, 256): 0.25,
    (640, 480): 0.15,
    (480, 640): 0.15,
    (512, 512): 0.20,
    (1024, 768): 0.14,
    (1024, 1024): 0.05,
    (1800, 1210): 0.06,
}
TURN = 8
"""Files that a pipeline takes before the next one has its turn."""
FORMATS = {"JPEG": 0.81, "PNG": 0.14, "WEBP": 0.05}
Decoder = Callable[[bytes], np.ndarray]


def picture(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth areas and, on a fifth of the picture, texture.

    Stored as JPEG, it takes 0.9 and 1.4 bits a pixel at quality 50 and 75, as photographs found on the web do.
    """
    planes = []
    for strength in (1.0, 0.35, 0.35):
        where = field(width, height, 2.0, rng)
        texture = field(width, height, 0.8, rng) * (where > np.quantile(where, 0.8))
        planes.append(strength * (50 * field(width, height, 2.2, rng) + 80 * texture))
    luma, first, second = planes
    channels = np.stack([luma + first, luma - 0.5 * (first + second), luma + second], -1)
    return np.clip(128 + channels, 0, 255).astype(np.uint8)


def field(width: int, height: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of standard deviation 1 whose amplitude falls with the frequency to the power of ``exponent``."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falloff = 1 / np.maximum(np.hypot(rows, columns), 1 / max(width, height)) ** exponent
    values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) * falloff, (height, width))
    return values / values.std()


def make_files(count: int, seed: int) -> list[bytes]:
    """``count`` encoded images in the shares of `SIZES` and `FORMATS`, in random order; JPEG at 2.5 bits a pixel."""
    rng = np.random.default_rng(seed)
    sizes = apportion(SIZES, count)
    formats = apportion(FORMATS, count)
    rng.shuffle(formats)
    files = []
    for (width, height), kind in zip(sizes, formats, strict=True):
        buffer = io.BytesIO()
        options = {"quality": int(rng.integers(85, 100))} if kind != "PNG" else {}
        Image.fromarray(picture(width, height, rng)).save(buffer, kind, **options)
        files.append(buffer.getvalue())
    rng.shuffle(files)
    return files


def apportion(shares: dict, count: int) -> list:
    """``count`` keys of ``shares``, each as often as its share says, to a rounding."""
    ends = np.rint(np.cumsum(list(shares.values())) * count).astype(int)
    return [key for key, times in zip(shares, np.diff(ends, prepend=0), strict=True) for _ in range(times)]


def with_pillow(data: bytes) -> np.ndarray:
    """Decode with Pillow."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def with_opencv(data: bytes) -> np.ndarray:
    """Decode with OpenCV."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def fastest_exact(files: Sequence[bytes]) -> Decoder:
    """A decoder that takes OpenCV for the formats where it gives Pillow's pixels and is faster."""
    by_format: dict[str, list[bytes]] = defaultdict(list)
    for data in files:
        by_format[str(Image.open(io.BytesIO(data)).format)].append(data)
    chosen = set()
    for kind, some in by_format.items():
        exact = all(np.array_equal(with_opencv(data), with_pillow(data)) for data in some)
        if exact and seconds(with_opencv, some) < seconds(with_pillow, some):
            chosen.add(kind)
        print(f"decoding {kind}: {'OpenCV' if kind in chosen else 'Pillow'}, OpenCV exact: {exact}")

    def fastest(data: bytes) -> np.ndarray:
        jpeg = data[:2] == b"\xff\xd8"
        kind = "JPEG" if jpeg else "PNG" if data[:4] == b"\x89PNG" else "WEBP"
        return with_opencv(data) if kind in chosen else with_pillow(data)

    return fastest


def seconds(function: Callable[[bytes], object], files: Sequence[bytes]) -> float:
    """The processor's time that ``function`` takes for all ``files``."""
    start = time.process_time()
    for data in files:
        function(data)
    return time.process_time() - start


def measure(functions: dict[str, Callable[[bytes], object]], files: Sequence[bytes]) -> dict[str, float]:
    """Images a second of each function, by name, the functions taking turns."""
    spent: dict[str, float] = defaultdict(float)
    for start in range(0, len(files), TURN):
        for name, function in functions.items():
            spent[name] += seconds(function, files[start : start + TURN])
    return {name: len(files) / total for name, total in spent.items()}


class Keys:
    """A fresh generator for each sample, as the protocol keys them."""

    def __init__(self, seed: int) -> None:
        self.seed, self.count = seed, 0

    def next(self) -> np.random.Generator:
        """The next sample's generator."""
        self.count += 1
        return np.random.Generator(np.random.Philox(key=[self.seed, self.count]))


def pipelines(fastest: Decoder, seed: int) -> dict[str, Callable[[bytes], object]]:
    """The functions of an image file that are timed, by name."""
    keys = Keys(seed)
    mandatory, baseline = MandatoryTraining(), BaselineTraining()
    stochastic = StochasticTraining("resize", (SIDE, SIDE))
    evaluation, crops = MandatoryEvaluation(), EvaluationCrops("resize", (SIDE, SIDE))

    def train(data: bytes) -> torch.Tensor:
        image = baseline(mandatory(decode(data), keys.next()), keys.next())
        return torch.from_numpy(stochastic(image, keys.next()))

    def evaluate(data: bytes) -> torch.Tensor:
        return torch.from_numpy(crops(evaluation(decode(data), keys.next()))[0])

    return {
        "decode": fastest,
        "train": train,
        "evaluate": evaluate,
        "plain train": PlainTraining(SIDE),
        "plain evaluate": PlainEvaluation(SIDE),
    }


def profile(
    files: Sequence[bytes], recipes: Sequence[StepsRecipe], finish: Callable[..., object], seed: int
) -> dict[str, list[float]]:
    """By operation: milliseconds a sample over all samples, milliseconds where it fires, and how often it does."""
    spent: dict[str, list[float]] = defaultdict(list)
    keys = Keys(seed)

    def timed(name: str, function: Callable, *args: object) -> Any:
        start = time.process_time()
        result = function(*args)
        spent[name].append(1000 * (time.process_time() - start))
        return result

    for data in files:
        image = timed("decode", decode, data)
        for recipe in recipes:
            for operation in timed("draw decisions", recipe.plan, size_of(image), keys.next()):
                image = timed(type(operation).__name__, apply_one, operation, image)
            image = timed("grey to three channels", apply, [], image) if image.ndim == 2 else image
        timed("resize and turn", finish, image, keys.next())
    return {name: [sum(ms) / len(files), statistics.fmean(ms), len(ms) / len(files)] for name, ms in spent.items()}


def add_profile(results: Results, title: str, rows: dict[str, list[float]]) -> None:
    """Add the table of `profile`, the costliest first."""
    total = sum(row[0] for row in rows.values())
    results.table(
        f"{title}, by operation: {total:.2f} ms a sample",
        ["operation", "ms a sample", "share, %", "ms where it fires", "fires"],
        [
            [name, mean, 100 * mean / total, each, often]
            for name, (mean, each, often) in sorted(rows.items(), key=lambda row: -row[1][0])
        ],
    )


RATIOS = {  # name: (numerator, denominator, goal)
    "training against plain": ("train", "plain train", 3.0),
    "evaluation against plain": ("evaluate", "plain evaluate", 2.0),
    "training against decoding alone": ("train", "decode", 0.33),
    "evaluation against decoding alone": ("evaluate", "decode", 0.40),
}


def main() -> None:
    """Measure, print, and with ``--json`` write what was measured."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=480, help="files in the made-up set")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    random.seed(options.seed)
    np.random.seed(options.seed)

    files = make_files(options.images, options.seed)
    pixels = [np.prod(Image.open(io.BytesIO(data)).size) / 1e6 for data in files]
    print(
        f"{len(files)} files, {np.mean(pixels):.3f} megapixels, {np.mean([len(data) for data in files]) / 1e3:.0f} kB"
    )
    keep_freed_memory()
    rates: dict[str, list[float]] = defaultdict(list)
    functions = pipelines(fastest_exact(files), options.seed)
    for function in functions.values():
        seconds(function, files[:10])
    for _ in range(options.repeats):
        for name, rate in measure(functions, files).items():
            rates[name].append(rate)

    results = Results("sample_pipeline", "Samples")
    for name, (over, under, goal) in RATIOS.items():
        values = [a / b for a, b in zip(rates[over], rates[under], strict=True)]
        results.claim(name, values, "x", f">= {goal}")
    for name, values in rates.items():
        results.claim(f"{name}, one core", values, "images/s")
    stochastic, crops = StochasticTraining("resize", (SIDE, SIDE)), EvaluationCrops("resize", (SIDE, SIDE))
    add_profile(results, "Training", profile(files, [MandatoryTraining(), BaselineTraining()], stochastic, 2))
    add_profile(results, "Evaluation", profile(files, [MandatoryEvaluation()], lambda image, _: crops(image), 3))
    results.finish(options.json)


if __name__ == "__main__":
    main()
