from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aigenbench.cli.main import main
from aigenbench.errors import InputError
from aigenbench.inference.formats.hub import push_to_hub

# its own client, at its own HTTP library
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
TOKEN = "hf_standin"


class Hub(ThreadingHTTPServer):
    """What the hub answers to a commit: repositories, files by content, large ones beside."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.large: dict[str, bytes] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self._body()
        self.server.asked.append(f"POST {self.path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._say({"error": "no"}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.files.setdefault(name, {})
            private = asked.get("private", asked.get("visibility") == "private")
            self.server.private.setdefault(name, bool(private))
            return self._say({"url": f"{self.server.address}/{name}"})
        if self.path == "/api/validate-yaml":
            return self._say({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            return self._say(
                {
                    "files": [
                        {
                            "path": one["path"],
                            "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular",
                            "shouldIgnore": False,
                            "oid": None,
                        }
                        for one in files
                    ]
                }
            )
        if self.path.endswith("/info/lfs/objects/batch"):
            asked = json.loads(body)
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.address}/put/{one['oid']}"}}}
                for one in asked["objects"]
            ]
            return self._say({"transfer": "basic", "objects": objects})
        if "/commit/" in self.path:
            name = self.path.removeprefix("/api/models/").split("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    self.server.files[name][value["path"]] = base64.b64decode(value["content"])
                if line["key"] == "lfsFile":
                    self.server.files[name][value["path"]] = self.server.large[value["oid"]]
            commit = {"commitUrl": f"{self.server.address}/{name}/commit/1", "commitOid": "1" * 40}
            return self._say({**commit, "hookOutput": "", "pullRequestUrl": None})
        return self._say({"error": "unknown"}, 404)

    def do_PUT(self) -> None:
        data = self._body()
        oid = self.path.rsplit("/", 1)[1]
        assert hashlib.sha256(data).hexdigest() == oid
        self.server.large[oid] = data
        self._say({})

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        name = self.path.removeprefix("/api/models/").split("/revision/")[0].split("?")[0]
        if name in self.server.files:
            return self._say({"id": name, "sha": "0" * 40, "siblings": [], "private": True})
        return self._say({"error": "unknown"}, 404)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import HfApi, constants

    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with Hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(HfApi.__init__, "__defaults__", (server.address, *HfApi.__init__.__defaults__[1:]))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my_detector"
    made.mkdir()
    (made / "detector.json").write_text('{"schema": 1}')
    (made / "README.md").write_text("---\nlicense: mit\n---\n")
    (made / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    return made


def test_every_file_arrives(hub, folder):
    where = push_to_hub(folder, "me/detector", token=TOKEN)
    assert where.endswith("me/detector")
    assert hub.files == {"me/detector": {p.name: p.read_bytes() for p in folder.iterdir()}}
    assert hub.private == {"me/detector": True}


def test_what_the_hub_refuses(hub, folder):
    with pytest.raises(InputError, match=r"refused 'me/detector' with status 401; the token may not write there"):
        push_to_hub(folder, "me/detector", token="hf_other")
    with pytest.raises(InputError, match="is no name of a repository"):
        push_to_hub(folder, "me/detector/of mine", token=TOKEN)
    assert hub.files == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [("me/detector", "no token; run `hf auth login`"), ("", "is no name of a repository"), ("a/b/c", "is no name")],
)
def test_what_cannot_be_pushed_is_not_exported(hub, tmp_path, monkeypatch, capsys, name, said):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    # the experiment is not looked at yet
    assert main(["export", "nowhere", "-o", str(tmp_path / "detector"), "--push-to-hub", name]) == 2
    assert said in capsys.readouterr().err
    assert hub.asked == []


def test_a_hub_that_is_away(hub, folder, monkeypatch):
    from huggingface_hub import HfApi

    nowhere = "http://127.0.0.1:9"
    monkeypatch.setattr(HfApi.__init__, "__defaults__", (nowhere, *HfApi.__init__.__defaults__[1:]))
    with pytest.raises(InputError, match="cannot be reached"):
        push_to_hub(folder, "me/detector", token=TOKEN)
