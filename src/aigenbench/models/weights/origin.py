"""Whether a file of weights is that of the model it is given to, as far as it says so itself.

Networks of one shape may compute differently (QuickGELU or GELU, other pixel values, embeddings normalised or not), so
that weights fit by name and shape and are the wrong ones. Importing this imports no PyTorch.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from aigenbench.errors import InputError
from aigenbench.files import file_sha256
from aigenbench.models.weights.contents import metadata_of
from aigenbench.models.weights.kinds import Kind, kind_of

if TYPE_CHECKING:
    from aigenbench.models.sources.base import Card

logger = logging.getLogger(__name__)

#: What models of one shape were trained by or on, as names of models, files and repositories tell it.
TRAININGS = (
    *("openai", "laion400m", "laion2b", "laion5b", "datacomp", "commonpool", "metaclip", "merged2b", "webli"),
    *("dfn2b", "dfn5b", "cc12m", "yfcc15m"),
)
#: Entries beside the weights in the archives that OpenAI published, and in what is saved from its code.
_OPENAI_ENTRIES = {"input_resolution", "context_length", "vocab_size"}


def check_origin(model: str, card: Card, path: Path, names: Collection[str], alike: Collection[str]) -> None:
    """Refuse a user's file that says it is of another model, and tell where it does not say.

    Args:
        model: ``source/name`` of the model that is asked for.
        card: its card.
        path: the file, which is whole.
        names: of the tensors in it.
        alike: models of the same shapes that compute otherwise.

    Raises:
        InputError: its content, name, folder or metadata name other weights than the model's.
    """
    own = _trainings([model, *map(str, card.weights)])
    if not own:
        return
    said = _said(path, names)
    for what, found in said.items():
        if found and not found & own:
            others = [name for name in alike if _trainings([name]) & found]
            fits = f"; {' or '.join(others)} is the model of such weights" if others else ""
            raise InputError(
                f"weights: {path} is not of {model}: by its {what} it is of {', '.join(sorted(found))}, and "
                f"networks of the same shape compute otherwise{fits} (where a name misleads, rename the file)"
            )
    if alike and not any(said.values()):
        logger.warning(
            "weights %s do not say which model they are of; taken for those of %s. %s %s the same shapes and would "
            "compute otherwise: make sure",
            path,
            model,
            ", ".join(alike),
            "has" if len(alike) == 1 else "have",
        )


def check_published(card: Card, path: Path) -> None:
    """Refuse a file under a published file's name that has another hash than the published one.

    Raises:
        InputError: it is another.
    """
    if kind_of(path) is Kind.TORCHSCRIPT:
        return  # it would not have been opened
    for file in card.weights:
        if file.sha256 and path.name == Path(file.filename).name:
            found = file_sha256(path)
            if not found.startswith(file.sha256):
                raise InputError(
                    f"weights: {path} is not the file published under that name: its SHA-256 is {found[:12]}..., "
                    f"published is {file.sha256[:12]}...; remove it and fetch it again, or give it as "
                    "model_args weights"
                )


def _said(path: Path, names: Collection[str]) -> dict[str, set[str]]:
    """Trainings that the file names, by where it does; the surest place first."""
    content = {"openai"} if set(names) >= _OPENAI_ENTRIES else set()
    metadata = metadata_of(path) if kind_of(path) is Kind.SAFETENSORS else {}
    # the hub's cache and our weights folder call a folder after its repository
    folders = [part for part in path.absolute().parts[-4:-1] if "--" in part]
    return {
        "content": content,
        "metadata": _trainings(metadata.values()),
        "name": _trainings([path.name]),
        "folder": _trainings(folders),
    }


def _trainings(texts: Iterable[str]) -> set[str]:
    plain = " ".join(re.sub(r"[-_.]", "", text.lower()) for text in texts)
    return {training for training in TRAININGS if training in plain}
