"""The server: where it listens, and its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from asyncio import Transport
from collections.abc import Callable, Collection

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from aigenbench.errors import InputError
from aigenbench.inference.serve.app import make_app
from aigenbench.inference.serve.pool import Pool

HEAD_SECONDS = 10.0
"""For the head of a request to come, and for what is left of one that was answered early."""
SEND_SECONDS = 30.0
"""For a client to take what is sent."""
END_SECONDS = 5
"""For requests that are under way when the server is ended."""
BACKLOG = 1024
CONNECTIONS = 8192
"""At once, where the system allows it."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the port is in use or not allowed, or there is no such address on this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(f"--host {host}: no such address") from error
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} of {host} is in use; name another with --port") from error
        raise InputError(f"{host} port {port}: {error.strerror}; name another with --host or --port") from error
    return listener


def address(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    listener: socket.socket, pool: Pool, most_bytes: int, names: Collection[str], started: Callable[[], object]
) -> None:
    """Serve until Ctrl-C.

    Args:
        listener: of `listen`.
        pool: workers, not yet started.
        most_bytes: of a request.
        names: of this machine, under which browsers may ask.
        started: called once workers stand.

    Raises:
        InputError: a detector cannot be loaded.
        KeyboardInterrupt: after Ctrl-C, once requests under way had `END_SECONDS`.
    """

    async def served() -> None:
        async with pool:
            started()
            await server_of(make_app(pool, most_bytes, names)).serve(sockets=[listener])

    _allow_connections()
    asyncio.run(served())


def _allow_connections() -> None:
    """Let this process have as many files open as it may; the usual limit is a thousand, and each client is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS if most == resource.RLIM_INFINITY else min(CONNECTIONS, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def server_of(app: Starlette) -> uvicorn.Server:
    """A server that tells nothing but its own errors, and nothing of what it is sent."""
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=END_SECONDS,
        )
    )


class BoundedProtocol(H11Protocol):
    """uvicorn's, which leaves alone a client that begins a request and stalls, or does not take the answer."""

    _head: asyncio.TimerHandle
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def handle_events(self) -> None:
        """Begin a request."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._head.cancel()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._await_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent."""
        super().pause_writing()
        self._taking = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It was taken."""
        super().resume_writing()
        if self._taking is not None:
            self._taking.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        self._head.cancel()
        if self._taking is not None:
            self._taking.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if hasattr(self, "_head"):
            self._head.cancel()
        self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)
