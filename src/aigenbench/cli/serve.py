"""``aigenbench serve``: a page and an endpoint for exported detectors."""

from __future__ import annotations

import argparse
from typing import Any

from aigenbench.cli.terminal import say
from aigenbench.inference.serve.starting import serve

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
    parser.add_argument(
        "--runtime",
        default="torch",
        choices=("torch", "onnx"),
        metavar="torch|onnx",
        help="what computes: PyTorch, or ONNX Runtime on what export --format onnx wrote (torch)",
    )
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="crops scored at once (16)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    serve(
        *args.detector,
        host=args.host,
        port=args.port,
        allowed_hosts=args.allowed_host,
        max_upload=args.max_upload,
        queue=args.queue,
        workers=args.workers,
        timeout=args.timeout,
        device=args.device,
        batch_size=args.batch_size,
        runtime=args.runtime,
        started=lambda address: say(f"{address}  (Ctrl-C ends it)"),
    )
    return 0
