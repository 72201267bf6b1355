"""Download one published file and verify it, or say quickly that there is no network."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from aigenbench.errors import InputError
from aigenbench.files import whole_file

logger = logging.getLogger(__name__)

#: Seconds until a host that does not answer counts as unreachable.
DEADLINE_S = 4.0
_CHUNK = 1 << 20
_REDIRECTS = 5

Progress = Callable[[int, int | None], None]


class UnreachableError(InputError):
    """There is no network, or the host does not answer."""


class AbsentError(InputError):
    """The host answers that it has no such file."""


@dataclass(frozen=True)
class _Description:
    """What a host says about a file before sending it."""

    url: str
    size: int | None
    sha256: str
    headers: dict[str, str]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are followed by hand: a token must not go to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def download(
    url: str, target: Path, sha256: str = "", token: str | None = None, progress: Progress | None = None
) -> None:
    """Write the file at ``url`` to ``target``, whole and verified or not at all.

    Args:
        url: Where it is. A redirect is followed; the token goes to the first host alone.
        target: Where it goes; its folder is made.
        sha256: Published hash, or its first digits. The Hugging Face hub tells its files' hashes itself.
        token: For files that need a login.
        progress: Called with (bytes so far, bytes in all or None).

    Raises:
        UnreachableError: No answer within ``DEADLINE_S``.
        AbsentError: The host has no such file.
        InputError: It needs a login, ends early, or has another hash than the published one.
    """
    described = _within_deadline(lambda: _describe(url, token), url)
    expected = sha256 or described.sha256
    request = urllib.request.Request(described.url, headers=described.headers)
    digest = hashlib.sha256()
    done = 0
    with whole_file(target) as temporary:
        try:
            with urllib.request.urlopen(request, timeout=30) as response, temporary.open("wb") as output:
                while chunk := response.read(_CHUNK):
                    output.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, described.size)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise InputError(f"download of {url} broke off after {done} bytes ({error}); run it again") from error
        if described.size is not None and done != described.size:
            raise InputError(f"download of {url} ended after {done} of {described.size} bytes; run it again")
        if not digest.hexdigest().startswith(expected):
            raise InputError(
                f"download of {url} has SHA-256 {digest.hexdigest()[:12]}..., published is {expected[:12]}...; "
                "it was not kept"
            )


def offline() -> bool:
    """Whether the environment forbids the network (``HF_HUB_OFFLINE``)."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def _describe(url: str, token: str | None) -> _Description:
    headers = {"User-Agent": "aigenbench", "Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    opener = urllib.request.build_opener(_NoRedirect)
    size: int | None = None
    sha256 = ""
    for _ in range(_REDIRECTS):
        request = urllib.request.Request(url, headers=headers, method="HEAD")
        try:
            with opener.open(request, timeout=DEADLINE_S) as response:
                answer, status = response.headers, response.status
        except urllib.error.HTTPError as error:
            answer, status = error.headers, error.code
        _refuse(status, url)
        size = size or _number(answer.get("X-Linked-Size"))
        found = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', answer.get("X-Linked-Etag") or "")
        sha256 = found.group(1) if found else sha256
        if not 300 <= status < 400:
            return _Description(url, size or _number(answer.get("Content-Length")), sha256, headers)
        following = urljoin(url, answer["Location"])
        if urlsplit(following).netloc != urlsplit(url).netloc:
            headers.pop("Authorization", None)
            if size is not None:  # the hub has told all; its storage may answer GET alone
                return _Description(following, size, sha256, headers)
        url = following
    raise InputError(f"download of {url}: more than {_REDIRECTS} redirects")


def _refuse(status: int, url: str) -> None:
    if status in (401, 403):
        raise InputError(
            f"download of {url} needs a login (HTTP {status}): accept the licence on its page and set HF_TOKEN"
        )
    if status in (404, 410):
        raise AbsentError(f"download of {url}: the host has no such file (HTTP {status})")
    if status >= 400:
        raise UnreachableError(f"download of {url}: the host answers HTTP {status}")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _within_deadline(ask: Callable[[], _Description], url: str) -> _Description:
    """Ask in a thread: no socket timeout covers looking up a host's name."""
    answers: list[_Description] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            answers.append(ask())
        except (OSError, http.client.HTTPException, InputError) as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    if answers:
        return answers[0]
    if errors and isinstance(errors[0], InputError):
        raise errors[0]
    reason = errors[0] if errors else f"no answer in {DEADLINE_S:.0f} s"
    raise UnreachableError(f"{urlsplit(url).netloc} cannot be reached ({reason})")
