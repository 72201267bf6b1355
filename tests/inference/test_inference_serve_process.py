from __future__ import annotations

import os
import re
import resource
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import httpx
import pytest
from inference_serve_made_up import ONE, REAL, PoolHere, Server, begun, files, picture, two_detectors

from aigenbench.cli import main
from aigenbench.errors import InputError
from aigenbench.inference.serve import running, starting
from aigenbench.inference.serve.app import make_app


@pytest.fixture(scope="module")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return two_detectors(tmp_path_factory.mktemp("detectors"))


@pytest.fixture(scope="module")
def server(detectors: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--queue", "3", "--max-upload", "4")
    with begun(tmp_path_factory.mktemp("server") / "here", "--detector", str(detectors[0]), *options) as made:
        yield made


@pytest.fixture
def ready(server: Server) -> Server:
    server.until(status="ok")
    return server


def test_it_answers_and_leaves_nothing(ready: Server) -> None:
    large = picture(REAL, (1000, 1000), "BMP")
    replies = [ready.post(), ready.post(files=files(("secret-name.bmp", large))), ready.post(data={"map": "1"})]
    assert [reply.json()["results"][0]["detectors"][0]["verdict"]["word"] for reply in replies] == ["real"] * 3
    ready.post(
        content=b"--x\r\nsecret\x01name", headers={"Content-Type": "multipart/form-data; boundary=x"}, files=None
    )
    assert list(ready.folder.iterdir()) == []
    assert "name" not in ready.folder.with_suffix(".log").read_text(encoding="utf-8")


def test_a_worker_that_dies_over_a_picture_is_replaced(ready: Server) -> None:
    (worker,) = ready.workers()
    os.kill(worker, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ready.post)
        ready.until(requests=1)
        time.sleep(0.3)
        os.kill(worker, signal.SIGKILL)
        assert reply.result().json()["results"][0]["error"] == "this picture ended the worker that read it"
    assert ready.post().status_code == 503
    ready.until(status="ok")
    assert ready.workers() != [worker]
    assert ready.post().json()["results"][0]["error"] is None


def test_more_requests_than_wait_are_told_so_and_none_is_lost(ready: Server) -> None:
    (worker,) = ready.workers()
    os.kill(worker, signal.SIGSTOP)
    with ThreadPoolExecutor(12) as pool:
        replies = [pool.submit(ready.post) for _ in range(12)]
        # all that find no place are answered while the worker stands still
        refused = [reply.result() for _, reply in zip(range(8), as_completed(replies), strict=False)]
        os.kill(worker, signal.SIGCONT)
        statuses = Counter(reply.result().status_code for reply in replies)
    assert {reply.status_code for reply in refused} == {429}
    assert statuses == {200: 4, 429: 8}


def test_a_worker_may_take_only_so_much_memory(ready: Server) -> None:
    (worker,) = ready.workers()
    limits = Path(f"/proc/{worker}/limits").read_text(encoding="ascii")
    assert re.search(r"Max address space +\d+ ", limits)
    assert re.search(r"Max core file size +0 ", limits)


def test_many_clients_may_be_connected(ready: Server) -> None:
    limits = Path(f"/proc/{ready.process.pid}/limits").read_text(encoding="ascii")
    soft, hard = re.search(r"Max open files +(\d+) +(\d+)", limits).groups()  # type: ignore[union-attr]
    assert int(soft) == min(int(hard), running.CONNECTIONS)


def test_a_picture_beyond_the_memory_is_an_error(ready: Server) -> None:
    (worker,) = ready.workers()
    pages = int(Path(f"/proc/{worker}/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + 2**26
    resource.prlimit(worker, resource.RLIMIT_AS, (most, most))
    large = picture(REAL, (9000, 9000))
    assert ready.post(files=files(("a", large))).json()["results"][0]["error"]
    ready.until(status="ok")


def is_gone(process: int) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if ") Z " in Path(f"/proc/{process}/stat").read_text(encoding="utf-8"):
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_ends_it_and_its_workers(detectors: list[Path], tmp_path: Path) -> None:
    both = ("--detector", str(detectors[0]), "--detector", str(detectors[1]))
    with begun(tmp_path / "here", *both, "--workers", "2") as made:
        workers = made.workers()
        assert len(workers) == 2
        assert [one["id"] for one in made.get("/api/detectors").json()["detectors"]] == ["made up", "made up-2"]
        made.process.send_signal(signal.SIGINT)
        assert made.process.wait(20) == 130
    assert (tmp_path / "here.log").read_text(encoding="utf-8") == "aigenbench: interrupted\n"
    assert all(map(is_gone, workers))


@pytest.mark.slow
def test_a_server_that_is_killed_takes_its_workers_along(detectors: list[Path], tmp_path: Path) -> None:
    with begun(tmp_path / "here", "--detector", str(detectors[0])) as made:
        (worker,) = made.workers()
        made.process.kill()
        made.process.wait()
        assert is_gone(worker)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--detector", "nothing"], "nothing is not a folder"),
        (["--detector", "DETECTOR", "--host", "no.such.host.invalid"], "no such address"),
        (["--detector", "DETECTOR", "--host", "203.0.113.7"], "name another with --host"),
        (["--detector", "DETECTOR", "--port", "70000"], "port must be 0 to 65535"),
        (["--detector", "DETECTOR", "--workers", "0"], "workers must be at least 1"),
        (["--detector", "DETECTOR", "--queue", "-1"], "queue must be at least 0"),
        (["--detector", "DETECTOR", "--max-upload", "nan"], "max_upload must be a positive number"),
        (["--detector", "DETECTOR", "--device", "abacus"], "device: expected auto, cpu"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_line(
    detectors: list[Path], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    typed = [str(detectors[0]) if argument == "DETECTOR" else argument for argument in arguments]
    assert main(["serve", "--port", "0", *typed]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch, detectors: list[Path]) -> None:
    monkeypatch.setattr(starting, "NEEDED", ("starlette", "no_such_package"))
    with pytest.raises(InputError, match=r"serve needs no_such_package: pip install aigenbench\[serve\]"):
        starting.serve(detectors[0], port=0)


def test_other_machines_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--detector", "nothing", "--port", "0", "--host", "0.0.0.0"]) == 2
    assert "host 0.0.0.0: whoever reaches this machine can use the page" in capsys.readouterr().err


def test_a_port_in_use_is_told(detectors: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--detector", str(detectors[0]), "--port", str(port)]) == 2
    assert f"port {port} of 127.0.0.1 is in use; name another with --port" in capsys.readouterr().err


@pytest.fixture
def here(detectors: list[Path]) -> Iterator[tuple[str, int]]:
    """A server in a thread of this process."""
    listener = running.listen("127.0.0.1", 0)
    server = running.server_of(make_app(PoolHere(detectors[:1]), 2**20))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTT"],
    ids=["nothing", "half a head", "half a second head"],
)
def test_a_client_that_says_nothing_more_is_left(
    monkeypatch: pytest.MonkeyPatch, here: tuple[str, int], sent: bytes
) -> None:
    monkeypatch.setattr(running, "HEAD_SECONDS", 0.3)
    with socket.create_connection(here, timeout=20) as client:
        client.sendall(sent)
        while client.recv(4096):
            pass


def test_a_connection_is_used_again(here: tuple[str, int]) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{here[1]}") as client:
        statuses = [client.get("/healthz").status_code, client.post("/api/detect", files=ONE).status_code]
        statuses += [client.post("/api/detect", files=files(("a", bytes(2**21)))).status_code]
        statuses += [client.get("/healthz").status_code]
    assert statuses == [200, 200, 413, 200]


def test_a_client_that_takes_no_answer_is_left(monkeypatch: pytest.MonkeyPatch, here: tuple[str, int]) -> None:
    monkeypatch.setattr(running, "SEND_SECONDS", 0.3)
    with socket.create_connection(here, timeout=20) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # so many answers that none of them fits anywhere
        requests = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100_000
        with pytest.raises(OSError):
            client.sendall(requests)


@pytest.mark.slow
def test_many_clients_at_once_lose_nothing(detectors: list[Path], tmp_path: Path) -> None:
    statuses: Counter[int] = Counter()
    with begun(tmp_path / "here", "--detector", str(detectors[0]), "--queue", "8") as made:

        def one(_: int) -> int:
            while True:
                reply = made.post()
                statuses[reply.status_code] += 1
                if reply.status_code == 200:
                    return len(reply.json()["results"])
                assert reply.status_code == 429
                assert int(reply.headers["retry-after"]) >= 1
                time.sleep(0.2)

        with ThreadPoolExecutor(32) as pool:
            assert sum(pool.map(one, range(200))) == 200
    assert statuses[429] > 0
