"""Where the files of published weights are: the project's folder, the libraries' caches, the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aigenbench.errors import InputError


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


def weights_folder(weights_dir: str | Path | None = None) -> Path:
    """``weights_dir``, or ``weights`` inside ``AIGENBENCH_HOME`` (by default ``~/.cache/aigenbench``)."""
    if weights_dir:
        return Path(weights_dir).expanduser()
    home = os.environ.get("AIGENBENCH_HOME") or "~/.cache/aigenbench"
    return Path(home).expanduser() / "weights"


def locate(model: str, files: Sequence[RemoteFile], weights_dir: str | Path | None = None) -> Path:
    """The first of ``files`` found in the weights folder or a library's cache.

    Raises:
        InputError: None is there; the line says which file is missing and which command fetches it.
    """
    if not files:
        raise InputError(f"weights: none are published for {model}; set model_args pretrained: false, or weights: FILE")
    folder = weights_folder(weights_dir)
    for path in (folder / file.local_name for file in files):
        if path.is_file():
            return path
    for file in files:
        for path in _cached(file):
            if path.is_file():
                return path
    raise InputError(
        f"weights: {files[0].filename} of {model} ({files[0]}) is not in {folder}; "
        f"`aigenbench models fetch {model}` fetches it where there is a network"
    )


def _cached(file: RemoteFile) -> Iterator[Path]:
    """Where the libraries that publish these files keep them."""
    if file.repo:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(file.repo, file.filename)
        if isinstance(found, str):
            yield Path(found)
        return
    import torch

    yield Path(torch.hub.get_dir()) / "checkpoints" / file.filename
    yield Path("~/.cache/clip").expanduser() / file.filename


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in lower-case hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
