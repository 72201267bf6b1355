"""`aigenbench detect`: the first answer of a fresh process, and pictures a second beside the bare decoding of them.

The detectors' weights are drawn; they are written as an export writes them, and loaded, hashes and all. Pictures are
smooth noise as JPEG. The decoding is done by as many threads as the detector reads with.

    python benchmarks/detect.py [--pictures 200] [--workers 2] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from aigenbench.data.pictures.decode import decode
from aigenbench.evaluation.statistics.calibration import Scaling
from aigenbench.evaluation.statistics.operating import OperatingPoint, Rate, Rates
from aigenbench.inference.artefact import FUSION, SELFTEST_FILE, WEIGHTS_FILE, Info, write_info
from aigenbench.inference.detector import Detector
from aigenbench.inference.formats.onnx import FILE as ONNX_FILE
from aigenbench.inference.formats.onnx import write_onnx
from aigenbench.inference.looking import Asked, detect
from aigenbench.inference.network import load_network
from aigenbench.models.build import build_model
from aigenbench.models.preprocessing import Preprocessing
from claims import Results, parser
from start_up import environment

VIT = "timm/vit_base_patch16_224"
SMALL = "small_cnn/small_cnn"
SIZE = (768, 1024)
SIDE = 224


def write_detector(folder: Path, model: str) -> Path:
    """A detector of this network, with thresholds that mean nothing."""
    torch.manual_seed(0)
    folder.mkdir()
    save_file(build_model(model, 1, pretrained=False).state_dict(), folder / WEIGHTS_FILE)
    save_file({"expected_logits": torch.zeros(0)}, folder / SELFTEST_FILE)
    rates = Rates(*[Rate(1, 100)] * 6)
    made = {
        "name": model,
        "arguments": {},
        "n_outputs": 1,
        "seen": None,
        "preprocessing": Preprocessing(input_size=(SIDE, SIDE)).to_dict(),
        "cropping": {"strategy": "resize"},
        "fusion": FUSION,
        "backbone": None,
        "imports": [],
    }
    point = OperatingPoint(0.01, 0.0, 0.0, 0.0, rates, rates, "Next")
    info = write_info(folder, Info(model, None, (), None, made, Scaling(), (point,)))
    write_onnx(load_network(folder, info), torch.randn(2, 3, SIDE, SIDE), folder / ONNX_FILE)
    write_info(folder, info)
    return folder


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Pictures of 1,024 x 768 pixels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:04d}.jpg" for number in range(count)]
    for path in paths:
        coarse = rng.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def first_answer(detector: Path, picture: Path, runtime: str = "torch") -> tuple[float, float]:
    """Seconds from the start of a process to its end, and of processor time."""
    before, started = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "aigenbench", "detect", str(picture), "--detector", str(detector)]
    subprocess.run(
        [*command, "--device", "cpu", "--runtime", runtime], check=True, stdout=subprocess.DEVNULL, env=environment()
    )
    wall, after = time.perf_counter() - started, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, spent


def decoding_rate(paths: list[Path], workers: int) -> float:
    """Pictures a second, decoded and dropped."""
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda path: decode(path.read_bytes()).shape, paths):
            pass
    return len(paths) / (time.perf_counter() - started)


def detection_rate(detector: Detector, paths: list[Path]) -> float:
    """Pictures a second, scored."""
    started = time.perf_counter()
    count = sum(1 for _ in detect(detector, paths, Asked()))
    return count / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--pictures", type=int, default=200)
    arguments.add_argument("--workers", type=int, default=2)
    options = arguments.parse_args()
    results = Results("detect", "Pictures through `aigenbench detect`")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_pictures(folder / "pictures", options.pictures)
        vit, small = write_detector(folder / "vit", VIT), write_detector(folder / "small", SMALL)
        first_answer(vit, paths[0])  # warms the disk cache
        walls, spent = zip(*[first_answer(vit, paths[0]) for _ in range(options.repeats)], strict=True)
        results.claim("first answer, ViT-B/16, torch", walls, "s", "<= 5")
        results.claim("its processor time", spent, "s")
        first_answer(vit, paths[0], "onnx")
        walls, spent = zip(*[first_answer(vit, paths[0], "onnx") for _ in range(options.repeats)], strict=True)
        results.claim("first answer, ViT-B/16, ONNX Runtime", walls, "s", "<= 5")
        results.claim("its processor time, ONNX Runtime", spent, "s")
        loaded = Detector.load(small, "cpu", num_workers=options.workers)
        rates = [(decoding_rate(paths, options.workers), detection_rate(loaded, paths)) for _ in range(options.repeats)]
        results.claim("decoding alone, 1,024 x 768 JPEG", [one for one, _ in rates], "pictures/s")
        results.claim("detect, small CNN", [one for _, one in rates], "pictures/s")
        results.claim("detect, small CNN, of decoding alone", [detected / decoded for decoded, detected in rates], "x")
        loaded, some = Detector.load(vit, "cpu", num_workers=options.workers), paths[: len(paths) // 4]
        results.claim("detect, ViT-B/16", [detection_rate(loaded, some) for _ in range(options.repeats)], "pictures/s")
    results.finish(options.json)


if __name__ == "__main__":
    main()
