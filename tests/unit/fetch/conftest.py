"""A real HTTP server on this machine that follows a script, and rows that point to it."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from targetscore.config import AtlasRow
from targetscore.errors import FetchError
from targetscore.fetch import Fetched, Patience, Progress, fetch_atlas

REGISTRY = "config/atlases.tsv"
PATIENCE = Patience(tries=3, first_wait=0.01, longest_wait=0.02, timeout=2.0)


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    sent: int = 0


@dataclass
class Server:
    """What is answered per path (one answer after the other, the last for ever) and was asked."""

    port: int
    scheme: str = "http"
    answers: dict[str, list[Callable[[Any], None]]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def script(self, path: str, *answers: Callable[[Any], None]) -> str:
        self.answers[path] = list(answers)
        return self.url(path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # of a client that neither asks nor reads

    def do_GET(self) -> None:
        script: Server = self.server.script  # type: ignore[attr-defined]
        self.record = Request(self.path, dict(self.headers))
        script.requests.append(self.record)
        answers = script.answers.get(self.path, [status(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def body(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        self.record.sent += len(data)

    def log_message(self, *_: object) -> None:
        pass


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"oops") -> Any:
    def answer(handler: _Handler) -> None:
        handler.send_response(code)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.body(body)

    return answer


def serve(
    data: bytes,
    etag: str | None = '"v1"',
    modified: str | None = None,
    ranges: bool = True,
    if_range: bool = True,
    cut: int | None = None,
    declare: int | None = None,
    content_type: str = "application/octet-stream",
    chunked: bool = False,
    until_close: bool = False,
    encoding: str | None = None,
    pause: threading.Event | None = None,
) -> Any:
    """Serve a file; ``cut`` breaks the connection after that many bytes of this answer."""

    def answer(handler: _Handler) -> None:
        asked = handler.headers.get("Range") if ranges else None
        if if_range and handler.headers.get("If-Range") not in (etag, modified):
            asked = None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(data):
            status(416, {"Content-Range": f"bytes */{len(data)}"})(handler)
            return
        body = data[start:]
        handler.send_response(206 if asked else 200)
        handler.send_header("Content-Type", content_type)
        if asked:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        for name, value in (
            ("ETag", etag),
            ("Last-Modified", modified),
            ("Content-Encoding", encoding),
        ):
            if value is not None:
                handler.send_header(name, value)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif not until_close:
            handler.send_header("Content-Length", str(len(body) if declare is None else declare))
        handler.end_headers()
        shown = body if cut is None else body[:cut]
        if chunked:
            for at in range(0, len(shown), 10_000):
                piece = shown[at : at + 10_000]
                handler.body(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if cut is None:
                handler.body(b"0\r\n\r\n")
        else:
            handler.body(shown)
        if pause is not None:
            pause.wait(20)
        handler.close_connection = True

    return answer


def serve_empty(chunked: bool) -> Any:
    """Serve a file without a byte."""

    def answer(handler: _Handler) -> None:
        handler.send_response(200)
        name, value = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "0")
        handler.send_header(name, value)
        handler.end_headers()
        if chunked:
            handler.body(b"0\r\n\r\n")

    return answer


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    running: list[ThreadingHTTPServer] = []

    def start(wrap: Callable[[Any], Any] | None = None) -> Server:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if wrap is not None:
            server.socket = wrap(server.socket)
        script = Server(server.server_address[1], "https" if wrap else "http")
        server.script = script  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        return script

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


class Body(bytes):
    """Bytes that do not fill the screen when a test fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


@pytest.fixture(scope="session")
def data() -> bytes:
    """Three mebibytes and a bit that look like no page."""
    return Body(b"\x89HDF" + random.Random(7).randbytes(3 * 1024 * 1024 + 17))


@pytest.fixture
def make_row() -> Callable[..., AtlasRow]:
    def make(url: str, sha256: str = "", **more: str) -> AtlasRow:
        fields = {"kind": "tumour", "format": "h5ad", "licence": "CC0-1.0", **more}
        return AtlasRow(atlas="demo", version="1", url=url, sha256=sha256, **fields)

    return make


@pytest.fixture
def fetch(make_row: Callable[..., AtlasRow], tmp_path: Any) -> Callable[..., Fetched]:
    """Fetch a URL into ``tmp_path/atlas`` with little patience."""

    def run(url: str, sha256: str = "", patience: Patience = PATIENCE) -> Fetched:
        progress = Progress(io.StringIO())
        row = make_row(url, sha256)
        fetched = fetch_atlas(row, REGISTRY, str(tmp_path / "atlas"), progress, patience)
        for file in fetched.files:
            content = Path(file.path).read_bytes()
            assert file.sha256 == hashlib.sha256(content).hexdigest()
            assert file.n_bytes == len(content)
        return fetched

    return run


@pytest.fixture
def fetch_row(tmp_path: Path) -> Callable[[AtlasRow], Fetched]:
    """Fetch a row of any kind into ``tmp_path/atlas``."""

    def run(row: AtlasRow) -> Fetched:
        progress = Progress(io.StringIO())
        return fetch_atlas(row, REGISTRY, str(tmp_path / "atlas"), progress, PATIENCE)

    return run


@pytest.fixture(scope="session")
def tools() -> Any:
    """Helpers of this folder, which tests cannot import from one another."""

    class Tools:
        registry = REGISTRY
        patience = PATIENCE
        weak = Patience(tries=1, timeout=2.0)

        @staticmethod
        def sha(data: bytes) -> str:
            return hashlib.sha256(data).hexdigest()

        @staticmethod
        def names(tmp_path: Path) -> list[str]:
            """Return the names of the files of the atlas."""
            folder = tmp_path / "atlas"
            return sorted(p.name for p in folder.iterdir()) if folder.exists() else []

        @staticmethod
        def wrong(caught: pytest.ExceptionInfo[FetchError]) -> str:
            """Return what the only problem says is wrong; it has file, place and remedy."""
            (problem,) = caught.value.problems
            assert problem.file == REGISTRY
            assert problem.place.startswith("atlas demo, ")
            assert problem.remedy
            return problem.wrong

    Tools.serve = staticmethod(serve)  # type: ignore[attr-defined]
    Tools.serve_empty = staticmethod(serve_empty)  # type: ignore[attr-defined]
    Tools.status = staticmethod(status)  # type: ignore[attr-defined]
    return Tools
