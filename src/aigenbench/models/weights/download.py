"""Have one published file downloaded by the hub's client or PyTorch and verify it, or say quickly that it cannot be."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from aigenbench.errors import InputError
from aigenbench.files import file_sha256, whole_file

if TYPE_CHECKING:
    from aigenbench.models.weights.locate import RemoteFile

#: Seconds until a host that does not answer counts as unreachable.
DEADLINE_S = 4.0


class UnreachableError(InputError):
    """There is no network, or the host does not answer."""


class AbsentError(InputError):
    """The host answers that it has no such file."""


class _Announced(NamedTuple):
    """What a host says about a file before sending it; "" and None where it does not say."""

    size: int | None
    sha256: str
    revision: str | None = None


def download(file: RemoteFile, target: Path) -> None:
    """Write ``file`` to ``target``, whole and verified or not at all; progress is shown on a terminal.

    Raises:
        UnreachableError: No answer within ``DEADLINE_S``.
        AbsentError: The host has no such file.
        InputError: It needs a login, ends early, or has another hash than the published one.
    """
    announced = _within_deadline(_asking(file), file)
    with whole_file(target) as temporary, TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        try:
            path = _from_hub(file, announced.revision, folder) if file.repo else _from_url(file.url, folder)
        except network_errors() as error:
            raise InputError(f"download of {file} broke off ({_reason(error)}); run it again") from error
        _verify(file, path, announced)
        path.replace(temporary)


def _asking(file: RemoteFile) -> Callable[[], _Announced]:
    """What asks the host; libraries are imported before."""
    if not file.repo:
        return lambda: _of_url(file)
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url

    def of_hub() -> _Announced:
        url = hf_hub_url(file.repo, file.filename)
        said = get_hf_file_metadata(url, token=get_token(), timeout=DEADLINE_S)
        # of a small file, the tag is no SHA-256
        sha256 = said.etag if re.fullmatch("[0-9a-f]{64}", said.etag or "") else ""
        return _Announced(said.size, file.sha256 or sha256 or "", said.commit_hash)

    return of_hub


def _of_url(file: RemoteFile) -> _Announced:
    try:
        # not by HEAD: signed addresses of a release's files answer GET alone
        with urlopen(file.url, timeout=DEADLINE_S) as answer:
            length = answer.headers["Content-Length"]
    except HTTPError as error:
        error.close()
        raise
    return _Announced(int(length) if length else None, file.sha256)


def _from_hub(file: RemoteFile, revision: str | None, folder: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(file.repo, file.filename, revision=revision, local_dir=folder))


def _from_url(url: str, folder: str) -> Path:
    from torch.hub import download_url_to_file

    path = Path(folder, "file")
    download_url_to_file(url, str(path), progress=sys.stderr.isatty())
    return path


def _verify(file: RemoteFile, path: Path, announced: _Announced) -> None:
    done = path.stat().st_size
    if announced.size is not None and done != announced.size:
        raise InputError(f"download of {file} ended after {done} of {announced.size} bytes; run it again")
    expected = announced.sha256
    found = file_sha256(path) if expected else ""
    if not found.startswith(expected):
        raise InputError(
            f"download of {file} has SHA-256 {found[:12]}..., published is {expected[:12]}...; it was not kept"
        )


def _within_deadline(ask: Callable[[], _Announced], file: RemoteFile) -> _Announced:
    """Ask in a thread: no socket timeout covers looking up a host's name."""
    answer: Future[_Announced] = Future()
    errors = network_errors()

    def work() -> None:
        try:
            answer.set_result(ask())
        except errors as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return answer.result(DEADLINE_S)
    except errors as error:
        raise _refusal(file, error) from error


def network_errors() -> tuple[type[Exception], ...]:
    """What the libraries raise where the network fails, the hub's by the HTTP and transfer libraries of its version."""
    from huggingface_hub import errors

    return OSError, HTTPException, errors.HTTPError, RuntimeError


def _refusal(file: RemoteFile, error: Exception) -> InputError:
    status = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return InputError(
            f"download of {file} needs a login (HTTP {status}): accept the licence on its page and set HF_TOKEN"
        )
    if status in (404, 410):
        return AbsentError(f"download of {file}: the host has no such file (HTTP {status})")
    if status:
        return UnreachableError(f"download of {file}: the host answers HTTP {status}")
    return UnreachableError(f"{file} cannot be reached ({_reason(error)})")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or f"no answer in {DEADLINE_S:.0f} s"
