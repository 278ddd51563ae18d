"""The search page at /, and the interface's documentation at /docs: files, and no one else's."""

import re
from html import escape
from pathlib import Path
from string import Template

import fastapi_offline
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import FileResponse, HTMLResponse

from rabtriever_core.config import Settings

PAGE = Path(__file__).with_name("page")

_POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
# Swagger's own page sets styles and draws its icons from data: URLs.
_DOCS_POLICY = f"{_POLICY}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"

_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def add_page(app: FastAPI, settings: Settings) -> None:
    """Serve the pages; their files are looked up in a fixed list, whatever a path says."""
    own = {path.name: path for path in PAGE.iterdir() if path.suffix in _TYPES}
    words = {"title": title_of(settings), "placeholder": settings.serving.page.placeholder}
    index = Template(own.pop("index.html").read_text(encoding="utf-8")).substitute(
        {name: escape(text) for name, text in words.items()}
    )
    swagger = Path(fastapi_offline.__file__).with_name("static")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(index, headers=_headers(_POLICY))

    @app.get("/page/{name}", include_in_schema=False)
    async def page_file(name: str) -> Response:
        if name not in own:
            raise HTTPException(404, "no such file of the search page")
        return _file(own[name], _POLICY)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return _file(own["docs.html"], _DOCS_POLICY)

    @app.get("/docs/{name}", include_in_schema=False)
    async def docs_file(name: str) -> Response:
        if name not in _SWAGGER:
            raise HTTPException(404, "no such file of the documentation")
        return _file(swagger / name, _DOCS_POLICY)


def title_of(settings: Settings) -> str:
    """The page's heading: `serving.page.title`, or the data set's name in words."""
    if settings.dataset.demo:
        name = "Rabtriever demo"
    else:
        name = re.sub(r"[-_.]+", " ", settings.dataset.name).strip()
    return settings.serving.page.title.strip() or f"{name[:1].upper()}{name[1:]}"


def _headers(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        # Small, and asked for anew: a new version holds at once.
        "Cache-Control": "no-cache",
    }


def _file(path: Path, policy: str) -> Response:
    return FileResponse(path, media_type=_TYPES[path.suffix], headers=_headers(policy))
