"""``aigenbench serve``: a page and an endpoint for exported detectors."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from aigenbench.cli.terminal import say
from aigenbench.errors import InputError

logger = logging.getLogger(__name__)

LOCAL = ("127.0.0.1", "::1", "localhost")

_DESCRIPTION = """\
Show a page in your browser where pictures are dropped and judged by exported detectors, and answer the same as JSON.

  aigenbench serve --detector my_detector
  curl -F image=@photo.jpg http://127.0.0.1:8000/api/detect

Nothing is loaded from elsewhere, no picture is written to disk, and nothing of it is logged. Ctrl-C ends it."""


def register(commands: Any) -> None:
    """Add ``serve``."""
    parser = commands.add_parser(
        "serve",
        help="a page and an endpoint for exported detectors",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--detector", action="append", required=True, metavar="FOLDER", help="an exported detector; may be given again"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (8000)")
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name of this machine that browsers may use, beside its addresses and localhost; may be given again",
    )
    parser.add_argument("--max-upload", type=float, default=32, metavar="MB", help="of one request (32)")
    parser.add_argument("--queue", type=int, default=16, metavar="N", help="requests that may wait (16)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that hold the detectors (1)")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for one picture (60)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ... (auto)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="crops scored at once (16)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    _check(args)
    try:
        from aigenbench.inference.serve.pool import Pool
        from aigenbench.inference.serve.running import listen
        from aigenbench.inference.serve.running import run as serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "python_multipart"):
            raise
        raise InputError(f"serve needs {error.name}: pip install aigenbench[serve]") from None
    listener = listen(args.host, args.port)
    if args.host not in LOCAL:
        logger.warning("--host %s: whoever reaches this machine can use the page; there is no password", args.host)
    setup = {
        "folders": args.detector,
        "device": args.device,
        "batch_size": args.batch_size,
        "workers": args.workers,
    }
    pool = Pool(setup, args.workers, args.queue, args.timeout)
    host = f"[{args.host}]" if ":" in args.host else args.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    serve(listener, pool, int(args.max_upload * 2**20), args.allowed_host, lambda: say(f"{address}  (Ctrl-C ends it)"))
    return 0


def _check(args: argparse.Namespace) -> None:
    for option, least in (("queue", 0), ("workers", 1), ("batch_size", 1), ("port", 0)):
        if getattr(args, option) < least:
            raise InputError(f"--{option.replace('_', '-')} must be at least {least}, found {getattr(args, option)}")
    if args.port > 65535:
        raise InputError(f"--port must be at most 65535, found {args.port}")
    for option in ("max_upload", "timeout"):
        if not 0 < getattr(args, option) < float("inf"):
            raise InputError(f"--{option.replace('_', '-')} must be a positive number, found {getattr(args, option)}")
