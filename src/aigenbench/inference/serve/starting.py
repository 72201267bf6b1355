"""From a command's or a call's arguments to a server that runs."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Collection
from importlib.util import find_spec

from aigenbench.errors import InputError

logger = logging.getLogger(__name__)

NEEDED = ("starlette", "uvicorn", "python_multipart")
"""What the extra ``serve`` brings."""
LOCAL = ("127.0.0.1", "::1", "localhost")


def serve(
    *detectors: str | os.PathLike[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    allowed_hosts: Collection[str] = (),
    max_upload: float = 32,
    queue: int = 16,
    workers: int = 1,
    timeout: float = 60,
    device: str = "auto",
    batch_size: int = 16,
    runtime: str = "torch",
    started: Callable[[str], object] = print,
) -> None:
    """Serve a page and an endpoint until Ctrl-C, which raises `KeyboardInterrupt`.

    Args:
        detectors: folders of exported detectors.
        host: address to listen on.
        port: 0 takes a free one.
        allowed_hosts: names of this machine that browsers may use, beside its addresses and ``localhost``.
        max_upload: of one request, in MB (2**20 bytes).
        queue: requests that may wait beside those that are looked at.
        workers: processes that hold the detectors.
        timeout: seconds for one picture under all detectors.
        device: as of ``Detector.load``.
        batch_size: likewise.
        runtime: what computes: ``torch``, or ``onnx`` where the detectors were exported with it.
        started: called with the address once pictures can be looked at.

    Raises:
        InputError: an argument is out of range, the extra ``serve`` is not installed, the port is in use, or a
            detector cannot be loaded.
    """
    if not detectors:
        raise InputError("no detector: name the folder of an exported one")
    for name, value, least in (("queue", queue, 0), ("workers", workers, 1), ("batch_size", batch_size, 1)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, found {value}")
    if runtime not in ("torch", "onnx"):
        raise InputError(f"runtime: expected torch or onnx, found {runtime!r}")
    if not 0 <= port <= 65535:
        raise InputError(f"port must be 0 to 65535, found {port}")
    for name, amount in (("max_upload", max_upload), ("timeout", timeout)):
        if not 0 < amount < math.inf:
            raise InputError(f"{name} must be a positive number, found {amount}")
    for name in NEEDED:
        if find_spec(name) is None:
            raise InputError(f"serve needs {name}: pip install aigenbench[serve]")
    from aigenbench.inference.serve.pool import Pool
    from aigenbench.inference.serve.running import address, listen, run

    with listen(host, port) as listener:
        if host not in LOCAL:
            logger.warning("host %s: whoever reaches this machine can use the page; there is no password", host)
        setup = {
            "folders": [os.fspath(folder) for folder in detectors],
            "device": device,
            "batch_size": batch_size,
            "runtime": runtime,
            "workers": workers,
        }
        most_bytes = int(max_upload * 2**20)
        pool = Pool(setup, workers, queue, timeout)
        run(listener, pool, most_bytes, allowed_hosts, lambda: started(address(listener)))
