"""Where the files of published weights are: the project's folder, the libraries' caches, the network."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.errors import InputError
from aigenbench.models.weights.download import AbsentError, UnreachableError, download

logger = logging.getLogger(__name__)

_configured: ContextVar[str | None] = ContextVar("weights_dir", default=None)


@dataclass(frozen=True)
class RemoteFile:
    """One published file of weights, at a URL or in a repository of the Hugging Face hub.

    Attributes:
        filename: Its name; in a repository, its path.
        url: Where it is, if not in a repository.
        repo: ``owner/name`` on the hub.
        sha256: Published hash in lower-case hex digits, or its first digits; "" where none is published.
    """

    filename: str
    url: str = ""
    repo: str = ""
    sha256: str = ""

    @classmethod
    def at(cls, url: str, sha256: str = "") -> RemoteFile:
        """The file at ``url``, named as there."""
        return cls(url.rsplit("/", 1)[-1], url=url, sha256=sha256)

    def __str__(self) -> str:
        return self.url or f"hub: {self.repo}/{self.filename}"

    @property
    def local_name(self) -> str:
        """Where it lies inside the weights folder; repositories name files alike, so each has its own folder."""
        return f"{self.repo.replace('/', '--')}/{self.filename}" if self.repo else self.filename


def check_weights_arguments(pretrained: Any, weights: Any) -> None:
    """Refuse a file that is named and would not be used.

    Raises:
        InputError: ``pretrained`` and ``weights`` contradict each other, or are of another kind.
    """
    if not isinstance(pretrained, bool):
        raise InputError(
            f"model_args pretrained: expected true or false, found {pretrained!r}; a file is named by weights: FILE, "
            "and published weights are chosen by the model's name"
        )
    if weights is not None and not isinstance(weights, str | Path):
        raise InputError(f"model_args weights: expected the path of a file, found {weights!r}")
    if weights and not pretrained:
        raise InputError(
            f"model_args pretrained: false starts from random weights, and weights: {weights} names a file to start "
            "from; leave one of the two out"
        )


def weights_folder(weights_dir: str | Path | None = None) -> Path:
    """Where weights are looked for and kept.

    ``weights_dir``, or that of the configuration (``use_weights_folder``), or ``weights`` inside ``AIGENBENCH_HOME``
    (by default ``~/.cache/aigenbench``).
    """
    if weights_dir := weights_dir or _configured.get():
        return Path(weights_dir).expanduser()
    home = os.environ.get("AIGENBENCH_HOME") or "~/.cache/aigenbench"
    return Path(home).expanduser() / "weights"


def use_weights_folder(weights_dir: str | None) -> None:
    """Look for weights in ``weights_dir`` from now on, where a call names no other place; None as before."""
    _configured.set(weights_dir or None)


def locate(model: str, files: Sequence[RemoteFile], weights_dir: str | Path | None = None) -> Path:
    """One of ``files``: from the weights folder, else from a library's cache, else from the network.

    Raises:
        InputError: None is there and none can be had; one line says which file is missing and which command
            fetches it.
    """
    found = find_local(files, weights_dir)
    if found is not None:
        return found
    try:
        return fetch(model, files, weights_dir)
    except UnreachableError as error:
        raise InputError(
            f"weights: {files[0].filename} of {model} ({files[0]}) is not in {weights_folder(weights_dir)} and "
            f"{error}; run `aigenbench models fetch {model}` where there is a network"
        ) from error


def find_local(files: Sequence[RemoteFile], weights_dir: str | Path | None = None) -> Path | None:
    """The first of ``files`` in the weights folder, else in a library's cache, else None."""
    folder = weights_folder(weights_dir)
    candidates = [folder / file.local_name for file in files]
    candidates += [path for file in files for path in _cached(file)]
    return next((path for path in candidates if path.is_file()), None)


def fetch(model: str, files: Sequence[RemoteFile], weights_dir: str | Path | None = None) -> Path:
    """Download the first of ``files`` that is published into the weights folder, verified.

    Of several processes that ask for the same model at once, one downloads and the others wait.

    Args:
        model: Its name, for messages.
        files: Alternatives, best first.
        weights_dir: See ``weights_folder``.

    Raises:
        UnreachableError: No network.
        InputError: Nothing is published; or see ``download``.
    """
    if not files:
        raise InputError(f"weights: none are published for {model}; set model_args pretrained: false, or weights: FILE")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise UnreachableError("HF_HUB_OFFLINE forbids the network")
    from filelock import FileLock

    folder = weights_folder(weights_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"weights: cannot make the folder {folder} ({error.strerror}); set AIGENBENCH_HOME or weights_dir"
        ) from error
    absent: list[str] = []
    for file in files:
        target = folder / file.local_name
        with FileLock(folder / f".{file.local_name.replace('/', '--')}.lock"):
            if target.is_file():
                return target
            try:
                download(file, target)
            except AbsentError as error:
                absent.append(str(error))
                continue
        logger.info("fetched %s into %s", file, target)
        return target
    raise InputError(f"weights of {model}: {'; '.join(absent)}")


def _cached(file: RemoteFile) -> Iterator[Path]:
    """Where the libraries that publish these files keep them."""
    if file.repo:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(file.repo, file.filename)
        if isinstance(found, str):
            yield Path(found)
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or cache / "torch")
    yield torch_home.expanduser() / "hub" / "checkpoints" / file.filename
    yield Path("~/.cache/clip").expanduser() / file.filename
