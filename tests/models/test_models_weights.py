"""Where weights are looked for, and downloads from a server that tests run themselves."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aigenbench.errors import InputError
from aigenbench.models import build_model, ensure_weights
from aigenbench.models.weights import download as downloading
from aigenbench.models.weights.download import AbsentError, UnreachableError
from aigenbench.models.weights.locate import RemoteFile, fetch, find_local, locate, weights_folder

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Host(ThreadingHTTPServer):
    """Serves ``answers[path] = (status, headers, body)`` and records what was asked with which headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Host

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches, and no proxy between the tests and their server."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "HF_HUB_OFFLINE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("AIGENBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_folder_is_the_arguments_then_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights_folder(tmp_path / "w") == tmp_path / "w"
    assert weights_folder() == tmp_path / "home" / "weights"
    monkeypatch.delenv("AIGENBENCH_HOME")
    assert weights_folder() == tmp_path / ".cache" / "aigenbench" / "weights"


def test_local_files_are_found_in_order(tmp_path: Path) -> None:
    files = [RemoteFile.at("http://x/first.pt"), RemoteFile("second.bin", repo="a/b")]
    assert find_local(files) is None
    cached = tmp_path / "cache/torch/hub/checkpoints/first.pt"
    in_folder = tmp_path / "home/weights/a--b/second.bin"
    for path in (cached, in_folder):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    assert find_local(files) == in_folder
    in_folder.unlink()
    assert find_local(files) == cached
    assert locate("m", files) == cached


def test_file_in_the_hub_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub/models--a--b/snapshots/0123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"x")
    (tmp_path / "hub/models--a--b/refs").mkdir()
    (tmp_path / "hub/models--a--b/refs/main").write_text("0123")
    assert find_local([RemoteFile("model.safetensors", repo="a/b")]) == snapshot / "model.safetensors"


def test_fetch_writes_the_whole_verified_file(host: Host, tmp_path: Path) -> None:
    host.answers["/a.pt"] = (200, {}, CONTENT)
    path = fetch("m", [RemoteFile.at(f"{host.url}/a.pt", SHA256[:8])])
    assert path == tmp_path / "home/weights/a.pt"
    assert path.read_bytes() == CONTENT
    asked = len(host.asked)
    assert fetch("m", [RemoteFile.at(f"{host.url}/a.pt")]) == path
    assert len(host.asked) == asked


def test_progress_is_shown_on_a_terminal_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host.answers.update({f"/{name}.pt": (200, {}, CONTENT) for name in "ab"})
    fetch("m", [RemoteFile.at(f"{host.url}/a.pt")])
    assert "100%" not in capsys.readouterr().err
    monkeypatch.setattr(downloading.sys.stderr, "isatty", lambda: True)
    fetch("m", [RemoteFile.at(f"{host.url}/b.pt")])
    assert "100%" in capsys.readouterr().err


def left_behind(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_file_with_another_hash_is_not_kept(host: Host, tmp_path: Path) -> None:
    host.answers["/a.pt"] = (200, {}, CONTENT)
    with pytest.raises(InputError, match=f"SHA-256 {SHA256[:12]}.*published is 000000"):
        fetch("m", [RemoteFile.at(f"{host.url}/a.pt", "0" * 64)])
    assert left_behind(tmp_path / "home") == []


def test_download_that_ends_early_is_not_kept(host: Host, tmp_path: Path) -> None:
    host.answers["/a.pt"] = (200, {"Content-Length": str(2 * len(CONTENT))}, CONTENT)
    with pytest.raises(InputError, match=f"ended after {len(CONTENT)} of {2 * len(CONTENT)} bytes; run it again"):
        fetch("m", [RemoteFile.at(f"{host.url}/a.pt")])
    assert left_behind(tmp_path / "home") == []


COMMIT = "0123456789" * 4


@pytest.fixture
def hub(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host as the hub, with a token of ours."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", host.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", host.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setenv("HF_TOKEN", "secret")
    return host


def publish(hub: Host, name: str, storage: str, **headers: str) -> None:
    """Have the file ``name`` of the repository ``a/b`` lie at ``storage``, as its main and its only version."""
    linked = {"Location": storage, "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(CONTENT)), **headers}
    for revision in ("main", COMMIT):
        hub.answers[f"/a/b/resolve/{revision}/{name}"] = (302, {"X-Linked-Etag": f'"{SHA256}"', **linked}, b"")


def test_hub_tells_size_and_hash_and_its_storage_gets_no_token(hub: Host, tmp_path: Path) -> None:
    publish(hub, "model.safetensors", f"http://localhost:{hub.server_port}/blob")
    hub.answers["/blob"] = (200, {}, CONTENT)
    path = fetch("m", [RemoteFile("model.safetensors", repo="a/b")])
    assert path == tmp_path / "home/weights/a--b/model.safetensors"
    assert path.read_bytes() == CONTENT
    assert ("HEAD", "/a/b/resolve/main/model.safetensors", "Bearer secret") in hub.asked
    assert {token for _, asked, token in hub.asked if asked == "/blob"} == {None}
    assert left_behind(tmp_path / "home") == ["model.safetensors"]


def test_what_is_not_what_the_hub_announced_is_not_kept(hub: Host, tmp_path: Path) -> None:
    publish(hub, "model.safetensors", f"http://localhost:{hub.server_port}/blob")
    for body, said in ((CONTENT[::-1], "SHA-256"), (CONTENT[:-9], "broke off .* run it again")):
        hub.answers["/blob"] = (200, {}, body)
        with pytest.raises(InputError, match=said) as caught:
            fetch("m", [RemoteFile("model.safetensors", repo="a/b")])
        assert "hub: a/b/model.safetensors" in str(caught.value)
    assert left_behind(tmp_path / "home") == []


def test_redirect_on_the_same_host_keeps_the_token(hub: Host) -> None:
    for revision in ("main", COMMIT):
        hub.answers[f"/a/b/resolve/{revision}/m.bin"] = (307, {"Location": f"/renamed/{revision}/m.bin"}, b"")
        hub.answers[f"/renamed/{revision}/m.bin"] = (200, {"X-Repo-Commit": COMMIT, "ETag": '"1"'}, CONTENT)
    fetch("m", [RemoteFile("m.bin", repo="a/b")])
    assert {token for _, _, token in hub.asked} == {"Bearer secret"}


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "GatedRepo", r"needs a login \(HTTP 403\).*HF_TOKEN"),
        (404, "EntryNotFound", r"no such file \(HTTP 404\)"),
        (503, "", "the host answers HTTP 503"),
    ],
)
def test_what_the_hub_refuses(hub: Host, status: int, code: str, said: str) -> None:
    hub.answers["/a/b/resolve/main/m.bin"] = (status, {"X-Error-Code": code}, b"")
    with pytest.raises(InputError, match=said):
        fetch("m", [RemoteFile("m.bin", repo="a/b")])


def test_a_hub_that_is_not_there(hub: Host) -> None:
    hub.server_close()
    hub.shutdown()
    with pytest.raises(UnreachableError, match=r"hub: a/b/m\.bin cannot be reached"):
        fetch("m", [RemoteFile("m.bin", repo="a/b")])


def test_next_file_is_taken_where_one_is_absent(host: Host, tmp_path: Path) -> None:
    host.answers["/b.pt"] = (200, {}, CONTENT)
    files = [RemoteFile.at(f"{host.url}/a.pt"), RemoteFile.at(f"{host.url}/b.pt")]
    assert fetch("m", files) == tmp_path / "home/weights/b.pt"
    with pytest.raises(InputError, match=r"weights of m: .*no such file \(HTTP 404\)"):
        fetch("m", files[:1])


def test_login_is_asked_for(host: Host) -> None:
    host.answers["/a.pt"] = (401, {}, b"")
    with pytest.raises(InputError, match=r"needs a login \(HTTP 401\).*HF_TOKEN"):
        fetch("m", [RemoteFile.at(f"{host.url}/a.pt")])


def test_endless_redirects(host: Host) -> None:
    host.answers["/a.pt"] = (302, {"Location": "/a.pt"}, b"")
    with pytest.raises(InputError, match=r"infinite loop|HTTP 302"):
        fetch("m", [RemoteFile.at(f"{host.url}/a.pt")])


def test_server_error_counts_as_unreachable(host: Host) -> None:
    host.answers["/a.pt"] = (503, {}, b"")
    with pytest.raises(UnreachableError, match="HTTP 503"):
        fetch("m", [RemoteFile.at(f"{host.url}/a.pt")])


def test_run_without_network_names_file_and_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    for name, file in (("dinov2_vits14_probe", "dinov2_vits14_pretrain.pth"), ("clipB16laion2B", "open_clip_model")):
        with pytest.raises(InputError) as caught:
            build_model(name, 1)
        message = str(caught.value)
        assert "\n" not in message
        assert file in message
        assert str(tmp_path / "home/weights") in message
        bare = name.removesuffix("_probe")
        assert f"/{bare}` where there is a network" in message
        assert "aigenbench models fetch" in message


def test_host_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "DEADLINE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.pt"
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:\d+/a\.pt cannot be reached \(.+\)"):
            fetch("m", [RemoteFile.at(url)])


def test_offline_environment_is_obeyed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"HF_HUB_OFFLINE forbids the network; run `aigenbench models fetch m`"):
        locate("m", [RemoteFile.at(f"{host.url}/a.pt")])
    assert host.asked == []


def test_model_without_published_weights() -> None:
    with pytest.raises(InputError, match=r"none are published for timm/test.*pretrained: false"):
        locate("timm/test", [])


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        fetch("m", [RemoteFile.at("http://127.0.0.1:9/a")], tmp_path / "file" / "weights")


def test_simultaneous_fetches_download_once(host: Host) -> None:
    host.answers["/a.pt"] = (200, {}, CONTENT)
    threads = [threading.Thread(target=fetch, args=("m", [RemoteFile.at(f"{host.url}/a.pt")])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(host.asked) == 2  # what it is, then the file


def test_weights_are_ensured_before_anything_is_built(
    tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert ensure_weights("RN50_probe", pretrained=False) is None
    with pytest.raises(InputError, match="models fetch openai/RN50"):
        ensure_weights("RN50_probe", image_size=32)
    with pytest.raises(InputError, match="no file"):
        ensure_weights("RN50_probe", weights=tmp_path / "none.pt")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "RN50.pt").write_bytes(b"x")
    assert ensure_weights("openai/RN50_tune", weights_dir=folder) == folder / "RN50.pt"
    with pytest.raises(InputError, match="did you mean 'RN50'"):
        ensure_weights("openai/RN50p_probe")


def test_absent_is_not_unreachable() -> None:
    assert not issubclass(AbsentError, UnreachableError)
