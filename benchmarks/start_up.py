"""Start-up: `aigenbench --help`, and from the command to the first training batch on the demo data.

Every figure is of fresh processes on a warm disk cache, their bytecode compiled. The command's time is compared with
importing torch, lightning.pytorch and the model's source alone, and with an eager build of the same command
(`eager.py`: everything imported up front); all take turns.

    python benchmarks/start_up.py [--repeats 5] [--json FILE] [--demo-data FOLDER]
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from claims import Results, parser
from first_batch import RECORD

HERE = Path(__file__).parent
LIGHT = [sys.executable, "-m", "aigenbench"]
EAGER = [sys.executable, str(HERE / "eager.py")]
ORIGINAL = 11.0  # seconds to the first batch that the original framework takes on 2 cores
MODELS = {  # name of the case: (the model's source, config arguments)
    "small_cnn": ("", []),
    "timm ViT": ("timm", ["--model.model_name", "timm/test_vit.r160_in1k_tune", "--model.model_input_size", "160"]),
}


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with this folder importable and bytecode allowed."""
    values = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    values["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return values | more


def seconds_of(command: list[str]) -> float:
    """Wall time of a process from its start to its end."""
    started = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment())
    return time.time() - started


def fit_command(start: list[str], data: Path, arguments: list[str]) -> list[str]:
    """The command whose first batch is waited for: the quickstart's, with 2 workers and our callback."""
    return [
        *start,
        "fit",
        *("--config", "benchmark_pipelines/base_benchmark_sliding_windows.yaml"),
        *("--config", "small_cnn/small_cnn_tune_resize.yaml"),
        *("--dataset_path", str(data), "--trainer.accelerator", "cpu", "--data.num_workers", "2"),
        *("--trainer.callbacks+", "{class_path: first_batch.FirstBatch}"),
        *arguments,
    ]


def first_batch(command: list[str]) -> dict[str, float]:
    """Seconds from the command to its first batch, and the main process's processor time by then.

    Raises:
        RuntimeError: the command ended without training.
    """
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        started = time.time()
        done = subprocess.run(
            command, cwd=folder, env=environment(**{RECORD: str(record)}), capture_output=True, text=True
        )
        if done.returncode != 128 + signal.SIGTERM or not record.is_file():
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        moment = json.loads(record.read_text(encoding="utf-8"))
    return {"wall": moment["time"] - started, "processor": moment["processor"]}


def libraries(source: str) -> list[str]:
    """The process that imports what no run can do without, and prints the time of day when it has."""
    return [
        sys.executable,
        "-c",
        f"import time, torch, lightning.pytorch{', ' + source if source else ''}; print(time.time())",
    ]


def seconds_to_import(source: str) -> float:
    """From the start of that process to the end of its imports; ending it is not counted, as in a run it is not."""
    started = time.time()
    done = subprocess.run(libraries(source), check=True, capture_output=True, text=True, env=environment())
    return float(done.stdout) - started


def measure_help(results: Results, repeats: int) -> None:
    """`--help`, light and eager."""
    light, eager = [], []
    for _ in range(repeats):
        light.append(seconds_of([*LIGHT, "--help"]))
        eager.append(seconds_of([*EAGER, "--help"]))
    results.claim("aigenbench --help", light, "s", "<= 1")
    results.claim("eager build: --help", eager, "s")


def measure_first_batch(results: Results, data: Path, case: str, repeats: int) -> None:
    """The command to its first batch, the libraries alone, and the eager build, in turns."""
    source, arguments = MODELS[case]
    light, eager = (fit_command(start, data, arguments) for start in (LIGHT, EAGER))
    first_batch(light)
    alone, ours, theirs, processor = [], [], [], []
    for _ in range(repeats):
        alone.append(seconds_to_import(source))
        moment = first_batch(light)
        ours.append(moment["wall"])
        processor.append(moment["processor"])
        theirs.append(first_batch(eager)["wall"])
    names = f"torch, lightning.pytorch{' and ' + source if source else ''}"
    results.claim(f"{case}: importing {names} alone", alone, "s")
    results.claim(f"{case}: command to first batch", ours, "s", f"<= {ORIGINAL / 2}")
    beyond = [whole - part for whole, part in zip(ours, alone, strict=True)]
    results.claim(f"{case}: first batch beyond those imports", beyond, "s", "<= 3")
    results.claim(f"{case}: processor time of the main process until then", processor, "s")
    results.claim(f"{case}: eager build: command to first batch", theirs, "s")


def import_times(command: list[str], expected: tuple[int, ...] = (0,)) -> Counter[str]:
    """Seconds of import by top-level package (each module's own time), as ``-X importtime`` tells them."""
    with tempfile.TemporaryDirectory() as folder:
        record = str(Path(folder) / "record.json")
        timed = [command[0], "-X", "importtime", *command[1:]]
        done = subprocess.run(timed, cwd=folder, env=environment(**{RECORD: record}), capture_output=True, text=True)
    if done.returncode not in expected:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    spent: Counter[str] = Counter()
    for own, name in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)", done.stderr, flags=re.MULTILINE):
        spent[name.partition(".")[0]] += int(own) / 1e6
    return spent


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__, repeats=5)
    arguments.add_argument("--demo-data", type=Path, help="an existing demo data set; made anew by default")
    options = arguments.parse_args()
    results = Results("start_up", "Start-up")
    with tempfile.TemporaryDirectory() as folder:
        data = options.demo_data or Path(folder) / "demo_data"
        if options.demo_data is None:
            subprocess.run([*LIGHT, "demo-data", str(data)], check=True, stdout=subprocess.DEVNULL)
        data = data.resolve()
        measure_help(results, options.repeats)
        for case in MODELS:
            measure_first_batch(results, data, case, options.repeats)
        command = fit_command(LIGHT, data, [])
        of_run, alone = import_times(command, (128 + signal.SIGTERM,)), import_times(libraries(""))
    rows = [(name, of_run[name], alone[name]) for name, _ in of_run.most_common(15)]
    results.table(
        "Import time by package, seconds (small_cnn; under -X importtime, which slows)",
        ["package", "aigenbench fit", "torch and lightning.pytorch alone"],
        [*rows, ("all", sum(of_run.values()), sum(alone.values()))],
    )
    results.finish(options.json)


if __name__ == "__main__":
    main()
