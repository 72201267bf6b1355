"""The routes: a page, and a JSON endpoint that says the same."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from importlib.resources import files as package_files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from aigenbench.evaluation.report.pages import resource
from aigenbench.inference.serve.guard import Guard
from aigenbench.inference.serve.pages import page, results
from aigenbench.inference.serve.pool import Pool
from aigenbench.inference.serve.uploads import Upload, read_upload

STABILITY = ("band", "all", "off")
"""Of which pictures it is tried how far the answer moves when they are resized and saved again."""
UNREAD: dict[str, Any] = {
    **dict.fromkeys(("error", "height", "width", "thumbnail")),
    "metadata": [],
    "detectors": [],
}
"""What is said of a picture that nothing is known of."""
STATIC = {"page.css": "text/css", "page.js": "text/javascript"}


def make_app(pool: Pool, most_bytes: int, names: Collection[str] = ()) -> Starlette:
    """The application.

    Args:
        pool: workers that stand.
        most_bytes: of a request.
        names: under which browsers may ask for it, beside its addresses and ``localhost``.
    """
    routes = [
        Route("/", _page, methods=["GET"]),
        Route("/", _page_with_results, methods=["POST"]),
        Route("/results", _results, methods=["POST"]),
        Route("/api/detect", _detect, methods=["POST"]),
        Route("/api/detectors", _detectors, methods=["GET"]),
        Route("/openapi.json", _openapi, methods=["GET"]),
        Route("/healthz", _health, methods=["GET"]),
        Route("/static/{name}", _static, methods=["GET"]),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, names=names)],
        exception_handlers={HTTPException: _refused, ClientDisconnect: _gone},  # type: ignore[dict-item]
    )
    app.state.pool, app.state.most_bytes = pool, most_bytes
    return app


async def _answers(request: Request) -> list[dict[str, Any]]:
    """What the workers say of each picture of a form, in its order."""
    pool: Pool = request.app.state.pool
    with pool.place():
        upload = await read_upload(request, request.app.state.most_bytes)
        wishes = _wishes(upload, [detector["id"] for detector in pool.detectors])
        said = await asyncio.gather(*(pool.look(wishes, picture) for _, picture in upload.pictures))
    return [{"name": name, **UNREAD, **answer} for (name, _), answer in zip(upload.pictures, said, strict=True)]


def _wishes(upload: Upload, known: list[str]) -> dict[str, Any]:
    fields = upload.fields
    wanted = list(dict.fromkeys(fields.get("detector", []))) or known
    if unknown := [one for one in wanted if one not in known]:
        raise HTTPException(400, f"no detector {unknown[0]!r}; there are {', '.join(known)}")
    stability = fields.get("stability", ["band"])[-1]
    if stability not in STABILITY:
        raise HTTPException(400, f"stability {stability!r}: expected one of {', '.join(STABILITY)}")
    return {
        "detectors": wanted,
        "with_map": fields.get("map", ["0"])[-1] not in ("", "0", "false"),
        "stability": stability,
    }


async def _page(request: Request) -> Response:
    return HTMLResponse(_as_page(request))


async def _page_with_results(request: Request) -> Response:
    return HTMLResponse(_as_page(request, await _answers(request)))


def _as_page(request: Request, answers: Sequence[dict[str, Any]] = (), error: str = "") -> str:
    return page(request.app.state.pool.detectors, request.app.state.most_bytes, answers, error)


async def _results(request: Request) -> Response:
    return HTMLResponse(results(request.app.state.pool.detectors, await _answers(request)))


async def _detect(request: Request) -> Response:
    return JSONResponse({"results": await _answers(request)})


async def _detectors(request: Request) -> Response:
    return JSONResponse({"detectors": request.app.state.pool.detectors})


async def _openapi(request: Request) -> Response:
    return Response(_own("openapi.json"), media_type="application/json")


async def _health(request: Request) -> Response:
    pool: Pool = request.app.state.pool
    status = "ok" if pool.ready else "starting"
    return JSONResponse({"status": status, "workers": pool.ready, "requests": pool.taken}, 200 if pool.ready else 503)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name == "style.css":
        return Response(str(resource(name)), media_type="text/css")
    if name not in STATIC:
        raise HTTPException(404)
    return Response(_own(f"static/{name}"), media_type=STATIC[name])


def _own(name: str) -> bytes:
    return (package_files("aigenbench.inference.serve") / name).read_bytes()


async def _refused(request: Request, error: HTTPException) -> Response:
    """A refusal in the form of what was asked for: the page, or JSON."""
    if request.url.path == "/":
        return HTMLResponse(_as_page(request, error=error.detail), error.status_code, error.headers)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    # nobody reads it
    return Response(status_code=400)
