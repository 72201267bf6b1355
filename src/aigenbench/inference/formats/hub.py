"""An exported detector in a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from aigenbench.errors import InputError
from aigenbench.models.weights.download import network_errors


def check_repository(repository: str, token: str | None = None) -> None:
    """Look, without asking the hub, whether ``push_to_hub`` could begin.

    Raises:
        InputError: the name is none, or there is no token.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise InputError(f"--push-to-hub: {repository!r} is no name of a repository, such as owner/name") from error
    if not (token or get_token()):
        raise InputError("--push-to-hub: no token; run `hf auth login`, or set HF_TOKEN")


def push_to_hub(folder: Path, repository: str, private: bool = True, token: str | None = None) -> str:
    """Upload an exported detector's files in one commit; the repository's address is returned.

    ``HF_ENDPOINT`` names another hub; files of the repository that the detector does not have stay.

    Args:
        folder: an exported detector.
        repository: ``owner/name``; it is made where there is none.
        private: whether a new repository is private.
        token: one that may write; the one of ``hf auth login`` or ``HF_TOKEN`` by default.

    Raises:
        InputError: the name is none, there is no token, the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    check_repository(repository, token)
    api = HfApi(token=token)
    try:
        made = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message=f"Detector {folder.name}")
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = "; the token may not write there" if status in (401, 403) else ""
        raise InputError(f"--push-to-hub: the hub refused {repository!r} with status {status}{hint}") from error
    except network_errors() as error:
        raise InputError(f"--push-to-hub: {api.endpoint} cannot be reached ({error})") from error
    return str(made)
