"""Headless Chromium, driven over DevTools' pipe: no driver, no socket, no package."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
    # no name is looked up, whatever asks for it
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
SECONDS = 60.0


class Page:
    """One page: what it is told to do, and what it asked for and complained of."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._buffer, self._id = write, read, b"", 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def open(self, width: int, height: int, dark: bool = False) -> None:
        """Make a page of this size."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def visit(self, url: str) -> None:
        """Go to an address, until its scripts have run."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, expression: str) -> Any:
        """The value of an expression."""
        said = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until it holds."""
        end = time.monotonic() + SECONDS
        while not self.js(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.05)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in a file input."""
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        names = [str(file) for file in files]
        self.call("DOM.setFileInputFiles", files=names, objectId=node["result"]["objectId"])

    def press(self, key: str) -> None:
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(key)
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra)

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        said = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(said["data"]))

    def call(self, method: str, **params: Any) -> Any:
        """One of DevTools' methods."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            said = self._message()
            if said.get("id") == self._id:
                assert "error" not in said, f"{method}: {said}"
                return said["result"]
            self._note(said.get("method"), said.get("params", {}))

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))

    def _message(self) -> Any:
        while b"\0" not in self._buffer:
            assert select.select([self._read], [], [], SECONDS)[0], "Chromium says nothing"
            part = os.read(self._read, 2**20)
            assert part, "Chromium ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)


@contextmanager
def chromium(folder: Path, width: int, height: int = 900, dark: bool = False) -> Iterator[Page]:
    """A page of this size, in a browser of its own whose profile lies in ``folder``."""
    assert CHROMIUM is not None
    ours, theirs = os.pipe(), os.pipe()
    # high numbers, so that none is overwritten when they become the browser's 3 and 4
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (ours[0], theirs[1])]
    for end in (ours[0], theirs[1]):
        os.close(end)
    process = subprocess.Popen(
        [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"],
        preexec_fn=lambda: (os.dup2(ends[0], 3), os.dup2(ends[1], 4)),
        pass_fds=(3, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in ends:
        os.close(end)
    try:
        page = Page(ours[1], theirs[0])
        page.open(width, height, dark)
        yield page
    finally:
        with process:
            process.kill()
        os.close(ours[1])
        os.close(theirs[0])
