from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_serve_made_up import GENERATED, REAL, UNSURE, PoolHere, ask, files, picture, two_detectors
from PIL import ExifTags, Image
from starlette.applications import Starlette

from aigenbench.cli import serve
from aigenbench.inference.detector import Detector
from aigenbench.inference.serve import uploads
from aigenbench.inference.serve.app import make_app
from aigenbench.inference.serve.guard import HEADERS
from aigenbench.inference.serve.pages import percent

MOST = 2**22
FORM = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return two_detectors(tmp_path_factory.mktemp("detectors"))


@pytest.fixture(scope="module")
def app(detectors: list[Path]) -> Starlette:
    return make_app(PoolHere(detectors), MOST)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads((package_files("aigenbench.inference.serve") / "openapi.json").read_text(encoding="utf-8"))


def conforms(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> str:
    """Why a value is not what a schema says, for the keywords that ours has; "" where it is."""
    if "$ref" in schema:
        return conforms(value, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "anyOf" in schema:
        found = [conforms(value, one, document) for one in schema["anyOf"]]
        return "" if "" in found else " and ".join(found)
    kinds = {"string": str, "integer": int, "number": (int, float), "array": list, "object": dict, "null": type(None)}
    allowed = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not any(isinstance(value, kinds[kind]) for kind in allowed):
        return f"{value!r} is not {allowed}"
    if value not in schema.get("enum", [value]):
        return f"{value!r} is not in {schema['enum']}"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            return f"{len(value)} items"
        return next(filter(None, (conforms(one, schema["items"], document) for one in value)), "")
    if isinstance(value, dict) and "properties" in schema:
        if set(value) != set(schema["properties"]):
            return f"keys {set(value) ^ set(schema['properties'])}"
        told = (conforms(value[key], one, document) for key, one in schema["properties"].items())
        return next(filter(None, told), "")
    return ""


def test_the_endpoint_says_what_the_detector_says(app: Starlette, detectors: list[Path]) -> None:
    pictures = [("a.png", picture(REAL)), ("b.png", picture(UNSURE)), ("c.png", picture(GENERATED, (90, 200)))]
    results = ask(app, "POST", "/api/detect", files=files(*pictures)).json()["results"]
    assert [result["name"] for result in results] == ["a.png", "b.png", "c.png"]
    for i, folder in enumerate(detectors):
        answers = list(Detector.load(folder, "cpu").answers([data for _, data in pictures]))
        for result, answer in zip(results, answers, strict=True):
            said = result["detectors"][i]
            assert said["score"] == pytest.approx(answer.score, abs=1e-6)
            assert said["logit"] == pytest.approx(answer.logit, abs=1e-5)
            assert said["probability"] == pytest.approx(answer.probability, abs=1e-6)
            assert said["verdict"]["word"] == answer.verdict.word
            assert np.allclose(said["crop_logits"], answer.crop_logits, atol=1e-5)
            assert (result["height"], result["width"]) == answer.size
    assert [result["detectors"][0]["verdict"]["word"] for result in results] == ["real", "unsure", "generated"]
    assert [result["detectors"][0]["stability"] is not None for result in results] == [False, True, False]


def test_a_picture_that_cannot_be_read_is_a_result(app: Starlette) -> None:
    bad = [("no.jpg", b"no picture"), ("half.png", picture(REAL)[:60]), ("empty.png", b""), ("ok.png", picture(REAL))]
    reply = ask(app, "POST", "/api/detect", files=files(*bad))
    assert reply.status_code == 200
    results = reply.json()["results"]
    assert [bool(result["error"]) for result in results] == [True, True, True, False]
    assert results[0]["detectors"] == []


def test_odd_pictures_are_read_as_everywhere(app: Starlette) -> None:
    bomb = bytearray(picture(REAL))
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    odd = {
        "cmyk.jpg": saved(Image.new("CMYK", (40, 30), (10, 20, 30, 40)), "JPEG"),
        "deep.png": saved(Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "PNG"),
        "alpha.png": saved(Image.new("RGBA", (40, 30), (200, 100, 50, 128)), "PNG"),
        "moving.gif": saved(
            Image.new("L", (40, 30)), "GIF", save_all=True, append_images=[Image.new("L", (40, 30), 255)]
        ),
        "turned.jpg": saved(Image.new("RGB", (30, 40)), "JPEG", exif=turned),
        "bomb.png": bytes(bomb),
    }
    results = ask(app, "POST", "/api/detect", files=files(*odd.items())).json()["results"]
    assert [(result["width"], result["height"]) for result in results] == [(40, 30)] * 5 + [(None, None)]
    assert "more than 134217728 pixels" in results[-1]["error"]


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def test_a_rate_reads_below_as_in_an_answer(app: Starlette) -> None:
    (said, _) = ask(app, "POST", "/api/detect", files=files(("a.png", picture(REAL)))).json()["results"][0]["detectors"]
    told = re.findall(r"\d+\.\d % \[.*?\]", said["verdict"]["said"])
    assert len(told) == 1
    text = re.sub("<[^>]*>", "", ask(app, "GET", "/").text)
    assert text.count(f"{told[0]} of 100") == 2


def test_what_is_wished_for_is_done(app: Starlette) -> None:
    one = files(("a.png", picture(REAL)))
    wishes = {"detector": "made up-2", "map": "1", "stability": "all"}
    (said,) = ask(app, "POST", "/api/detect", files=one, data=wishes).json()["results"][0]["detectors"]
    assert said["id"] == "made up-2"
    assert said["map"]["image"].startswith("data:image/png;base64,")
    assert np.shape(said["map"]["values"]) == (8, 8)
    assert len(said["stability"]["tries"]) == 6
    unsure = files(("a.png", picture(UNSURE)))
    never = ask(app, "POST", "/api/detect", files=unsure, data={"stability": "off"}).json()["results"][0]["detectors"]
    assert [one["stability"] for one in never] == [None, None]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"detector": "another"}, "no detector 'another'; there are made up, made up-2"),
        ({"stability": "x"}, "expected"),
    ],
)
def test_what_cannot_be_wished_for_is_told(app: Starlette, data: dict[str, str], said: str) -> None:
    reply = ask(app, "POST", "/api/detect", files=files(("a.png", picture(REAL))), data=data)
    assert reply.status_code == 400
    assert said in reply.json()["error"]


def test_the_document_names_every_route_and_holds(app: Starlette, document: dict[str, Any]) -> None:
    routes = {(route.path, method.lower()) for route in app.routes for method in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    named = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert routes == named
    wishes = {"map": "1", "stability": "all"}
    replies = {
        "/api/detect": ask(app, "POST", "/api/detect", files=files(("a", picture(UNSURE)), ("b", b"no")), data=wishes),
        "/api/detectors": ask(app, "GET", "/api/detectors"),
        "/healthz": ask(app, "GET", "/healthz"),
        "/openapi.json": ask(app, "GET", "/openapi.json"),
    }
    for path, reply in replies.items():
        (method,) = document["paths"][path]
        schema = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        assert conforms(reply.json(), schema, document) == ""
    refused = ask(app, "POST", "/api/detect")
    assert conforms(refused.json(), {"$ref": "Refusal"}, document) == ""
    upload = document["components"]["schemas"]["Upload"]["properties"]
    assert upload["image"]["maxItems"] == uploads.MOST_IMAGES


@pytest.mark.parametrize(
    ("host", "names", "answers"),
    [
        ("127.0.0.1:8000", (), True),
        ("localhost:8000", (), True),
        ("[::1]:8000", (), True),
        ("192.168.1.7", (), True),
        ("evil.example:8000", (), False),
        ("localhost.evil.example", (), False),
        ("", (), False),
        ("[::1", (), False),
        ("detector.example", ("Detector.example",), True),
    ],
)
def test_a_name_that_leads_here_by_a_trick_is_refused(
    detectors: list[Path], host: str, names: tuple[str, ...], answers: bool
) -> None:
    made = make_app(PoolHere(detectors[:1]), MOST, names)
    reply = ask(made, "GET", "/", headers={"Host": host})
    assert (reply.status_code == 200) == answers
    if not answers:
        assert "--allowed-host" in reply.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        # a form of a page that tells no referrer
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/results", "/api/detect"])
def test_a_form_of_another_site_is_refused(app: Starlette, path: str, headers: dict[str, str], status: int) -> None:
    reply = ask(app, "POST", path, files=files(("a.png", picture(REAL))), headers=headers)
    assert reply.status_code == status


def test_every_answer_carries_the_headers(app: Starlette) -> None:
    replies = [
        ask(app, "GET", "/"),
        ask(app, "GET", "/nothing"),
        ask(app, "POST", "/api/detect"),
        ask(app, "GET", "/static/page.js"),
        ask(app, "GET", "/static/..%2fapp.py"),
        ask(app, "GET", "/", headers={"Host": "evil.example"}),
    ]
    assert [reply.status_code for reply in replies] == [200, 404, 415, 200, 404, 400]
    for reply in replies:
        assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in HEADERS["Content-Security-Policy"]


def test_the_page_names_nothing_elsewhere_and_has_no_script_of_its_own(app: Starlette) -> None:
    evil = '<script>alert("x")</script>.png'
    reply = ask(app, "POST", "/", files=files((evil, picture(UNSURE)), ("bad", b"<b>")), data={"map": "1"})
    assert reply.status_code == 200
    assert "<script>alert" not in reply.text
    assert "&lt;script&gt;alert" in reply.text
    assert reply.text.count("<script") == 1
    assert "style=" not in reply.text
    assert "http" not in reply.text.replace("http-equiv", "")
    assert reply.text.count('class="verdict unsure"') == 2
    assert "cannot be read" in reply.text
    assert "CycleGAN, ProGAN" in reply.text
    assert "2019-05-01" in reply.text


def test_the_page_tells_why_it_did_not_look(app: Starlette) -> None:
    reply = ask(app, "POST", "/", files=[("image", ("", b""))])
    assert reply.status_code == 400
    assert "no picture" in reply.text
    assert "<form" in reply.text


def test_an_upload_is_counted_as_it_comes(app: Starlette) -> None:
    large = ask(app, "POST", "/api/detect", files=files(("a", bytes(MOST + 1))))
    assert (large.status_code, large.json()["error"]) == (413, "larger than 4 MiB, the most this server takes at once")
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(1000):
            sent += 2**16
            yield bytes(2**16)

    chunked = ask(app, "POST", "/api/detect", content=body(), headers={"Content-Type": FORM})
    assert chunked.status_code == 413
    assert sent <= MOST + 2**17, "the rest is not taken"


def test_nothing_of_an_upload_is_written(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, opened)
    data = picture(REAL, (1000, 1000), "BMP")
    assert len(data) > 2**20
    assert ask(app, "POST", "/api/detect", files=files(("a", data))).json()["results"][0]["error"] is None


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"{}", "application/json", 415, "multipart/form-data"),
        (b"", "multipart/form-data", 400, "form"),
        (b"nonsense", FORM, 400, "form"),
        (b"--x--\r\n", FORM, 400, "no picture"),
        (b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc\r\n--x--', FORM, 400, "no picture"),
    ],
)  # fmt: skip
def test_a_malformed_form_is_told(app: Starlette, content: bytes, kind: str, status: int, said: str) -> None:
    reply = ask(app, "POST", "/api/detect", content=content, headers={"Content-Type": kind})
    assert reply.status_code == status
    assert said in reply.json()["error"]


def test_damaged_forms_are_answered_or_refused(app: Starlette) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    body = part + picture(REAL, (8, 8)) + b'\r\n--x\r\nContent-Disposition: form-data; name="map"\r\n\r\n0\r\n--x--\r\n'
    rng = np.random.default_rng(0)
    statuses = Counter[int]()
    for _ in range(200):
        damaged = bytearray(body)
        for at in rng.integers(0, len(damaged), rng.integers(1, 8)):
            damaged[at] = rng.choice([0, 10, 13, 34, 45, 58, 59, 61, 120, 255])
        content = bytes(damaged[: rng.integers(1, len(damaged) + 1)] if rng.random() < 0.2 else damaged)
        reply = ask(app, "POST", "/api/detect", content=content, headers={"Content-Type": FORM})
        statuses[reply.status_code] += 1
    assert set(statuses) == {200, 400}
    header = b"--x\r\n" + b"a" * 2**20
    assert ask(app, "POST", "/api/detect", content=header, headers={"Content-Type": FORM}).status_code == 400


def test_too_many_pictures_are_refused(app: Starlette) -> None:
    many = files(*[(f"{i}.png", picture(REAL)) for i in range(uploads.MOST_IMAGES + 1)])
    reply = ask(app, "POST", "/api/detect", files=many)
    assert reply.status_code == 400
    assert f"{uploads.MOST_IMAGES}" in reply.json()["error"]


def test_an_upload_that_stalls_is_cut(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "CHUNK_SECONDS", 0.05)

    async def body() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.sleep(60)

    headers = {"Content-Type": FORM}
    reply = ask(app, "POST", "/api/detect", content=body(), headers=headers)
    assert (reply.status_code, reply.headers["connection"]) == (408, "close")
    assert app.state.pool.taken == 0


def test_a_body_that_trickles_is_cut(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "UPLOAD_SECONDS", 0.2)

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        while True:
            yield b"."
            await asyncio.sleep(0.01)

    headers = {"Content-Type": FORM}
    assert ask(app, "POST", "/api/detect", content=body(), headers=headers).status_code == 408


def test_a_full_queue_and_missing_workers_are_told_apart(detectors: list[Path]) -> None:
    pool = PoolHere(detectors[:1], queue=1)
    made = make_app(pool, MOST)
    one = files(("a.png", picture(REAL)))
    with pool.place(), pool.place():
        full = ask(made, "POST", "/api/detect", files=one)
    assert full.status_code == 429
    assert 1 <= int(full.headers["retry-after"]) <= 60
    assert ask(made, "POST", "/api/detect", files=one).status_code == 200
    pool.ready = 0
    down = ask(made, "POST", "/api/detect", files=one)
    assert (down.status_code, down.headers["retry-after"]) == (503, "5")
    assert ask(made, "GET", "/healthz").status_code == 503
    assert "one is being started" in ask(made, "POST", "/", files=one).text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1e-9, "under 0.1 %"), (0.012, "1.2 %"), (0.05, "5 %"), (0.5, "50 %"), (0.996, "99.6 %"),
     (1 - 1e-9, "over 99.9 %"), (1, "100 %")],
)  # fmt: skip
def test_shares_are_never_rounded_to_certainty(share: float, text: str) -> None:
    assert percent(share) == text


def test_the_page_of_the_documentation_is_true(document: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
    parsers = argparse.ArgumentParser().add_subparsers()
    serve.register(parsers)
    options = {option for option in parsers.choices["serve"]._option_string_actions if option.startswith("--")}
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    assert set(re.findall(r"--[a-z-]+", " ".join(rows))) == options - {"--help"}
    statuses = document["paths"]["/api/detect"]["post"]["responses"]
    assert {row.strip() for row in rows if row.strip().isdecimal()} == set(statuses) - {"200"}
    fields = document["components"]["schemas"]["Upload"]["properties"]
    assert {row.strip(" `") for row in rows} >= set(fields)
