"""The search page in real Chromium, on a service of its own."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rabtriever_core.serving.app import create_app
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> "Iterator[Browser]":
    """A browser that asks nobody but the page's origin."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail("no Chromium: `make test` installs it, CHROMIUM names another place")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def serving(workspace: Workspace) -> Iterator[str]:
    """The service on a port of its own, in a thread; yields its address."""
    import uvicorn

    config = uvicorn.Config(create_app(workspace), port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def opened(
    browser: "Browser",
    origin: str,
    errors: tuple[str, ...] = (),
) -> "Iterator[Page]":
    """A page of a new session: it may ask its origin alone, and nothing may go wrong in it.

    Args:
        browser: Chromium.
        origin: the only address that may be asked.
        errors: parts of what the console may say is wrong.
    """
    context = browser.new_context(
        viewport=DESKTOP,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(5000)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    try:
        yield page
    finally:
        context.close()
    assert [url for url in asked if not url.startswith((f"{origin}/", "data:"))] == []
    assert [text for text in said if not any(part in text for part in errors)] == []


def copied(workspace: Workspace, root: Path) -> Workspace:
    """The same workspace in another place."""
    shutil.copytree(workspace.root, root)
    return Workspace(root, workspace.settings)
