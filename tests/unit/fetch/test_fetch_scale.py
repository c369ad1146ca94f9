"""Many and large downloads: side by side, over redirects, watched on a terminal and in a log."""

from __future__ import annotations

import io
import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from targetscore.errors import FetchError
from targetscore.fetch import Progress, fetch_atlas


def slowly(data: bytes, pieces: int, seconds: float):
    """Serve a file in pieces with pauses, so that its progress can be watched."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("ETag", '"v1"')
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        step = -(-len(data) // pieces)
        for at in range(0, len(data), step):
            handler.body(data[at : at + step])
            time.sleep(seconds)

    return answer


def test_atlases_are_brought_side_by_side(server, make_row, data, tools, tmp_path):
    """No answer goes on before all were asked: one after the other would never end."""
    n = 4
    together = threading.Barrier(n, timeout=20)

    def answer(body):
        whole = tools.serve(body)

        def run(handler):
            together.wait()
            whole(handler)

        return run

    bodies = [data[i * 1000 :] for i in range(n)]
    urls = [server.script(f"/{i}/a.h5ad", answer(body)) for i, body in enumerate(bodies)]

    def bring(i):
        folder = str(tmp_path / str(i))
        row = make_row(urls[i], tools.sha(bodies[i]))
        return fetch_atlas(row, tools.registry, folder, Progress(io.StringIO()), tools.patience)

    with ThreadPoolExecutor(n) as pool:
        fetched = list(pool.map(bring, range(n)))
    assert [Path(f.location).read_bytes() for f in fetched] == bodies
    assert len(server.requests) == n


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirected_download_is_resumed(server, fetch, data, tools, code):
    half = len(data) // 2
    server.script("/store/8f3a", tools.serve(data, cut=half), tools.serve(data))
    url = server.script("/a.h5ad", tools.status(code, {"Location": "/store/8f3a"}))
    assert Path(fetch(url).location).read_bytes() == data
    asked = [r for r in server.requests if r.path == "/store/8f3a"]
    assert asked[1].headers["Range"] == f"bytes={half}-"
    assert asked[1].headers["If-Range"] == '"v1"'


def test_redirect_to_a_changed_file_starts_anew(server, fetch, data, tools):
    """The address stays, the file behind it does not: no byte of the old one is kept."""
    server.script("/store/1", tools.serve(data, cut=1000))
    server.script("/store/2", tools.serve(data[::-1], etag='"v2"'))
    first = tools.status(302, {"Location": "/store/1"})
    url = server.script("/a.h5ad", first, tools.status(302, {"Location": "/store/2"}))
    assert Path(fetch(url).location).read_bytes() == data[::-1]


@pytest.mark.parametrize("code", [500, 502, 503, 429])
def test_body_of_an_error_never_reaches_the_part(server, fetch, data, tools, tmp_path, code):
    """While going on, the body of a 5xx is as long as the rest, and says it is a file."""
    half = len(data) // 2
    kind = {"Content-Type": "application/octet-stream", "ETag": '"v1"', "Retry-After": "0"}
    error = tools.status(code, kind, data[: len(data) - half])
    url = server.script("/a.h5ad", tools.serve(data, cut=half), error, tools.serve(data))
    assert Path(fetch(url, tools.sha(data)).location).read_bytes() == data

    stuck = server.script("/b.h5ad", tools.serve(data, cut=half), error)
    with pytest.raises(FetchError):
        fetch(stuck)
    assert (tmp_path / "atlas/b.h5ad.part").read_bytes() == data[:half]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def watched(server, make_row, tools, data, tmp_path, stream, answer):
    row = make_row(server.script("/big.h5ad", answer))
    progress = Progress(stream)
    return fetch_atlas(row, tools.registry, str(tmp_path / "atlas"), progress, tools.patience)


def test_terminal_shows_bytes_rate_and_time_left(server, make_row, tools, data, tmp_path, caplog):
    stream = Terminal()
    with caplog.at_level(logging.INFO):
        watched(server, make_row, tools, data, tmp_path, stream, slowly(data, 4, 0.25))
    drawn = [line.removesuffix("\x1b[K") for line in stream.getvalue().split("\r") if line]
    state = re.compile(
        r"big\.h5ad: (\d[\d.]*) [kM]B of 3\.1 MB, \d[\d.]* [kM]?B/s(, 0:00:\d\d left)?"
    )
    shown = [line for line in drawn if state.fullmatch(line)]
    assert len(shown) >= 3
    assert sum("left" in line for line in shown) >= 2
    assert "\n" not in stream.getvalue()
    assert [r.message.split(",")[0] for r in caplog.records] == ["big.h5ad: 3.1 MB"]


def test_log_is_quiet(server, make_row, tools, data, tmp_path, caplog):
    stream = io.StringIO()
    with caplog.at_level(logging.INFO):
        watched(server, make_row, tools, data, tmp_path, stream, slowly(data, 4, 0.05))
    assert stream.getvalue() == ""
    (line,) = [r.message for r in caplog.records]
    assert line == f"big.h5ad: 3.1 MB, sha256 {tools.sha(data)}"


def test_log_of_a_long_download_has_a_line_now_and_then(
    server, make_row, tools, data, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("targetscore.progress.LOG_EVERY", 0.3)
    with caplog.at_level(logging.INFO):
        watched(server, make_row, tools, data, tmp_path, io.StringIO(), slowly(data, 5, 0.2))
    lines = [r.message for r in caplog.records]
    assert 2 <= len(lines) <= 5
    for line in lines[:-1]:
        assert re.fullmatch(
            r"big\.h5ad: [\d.]+ MB of 3\.1 MB, [\d.]+ [kM]B/s, 0:00:\d\d left", line
        )


def test_interrupted_atlas_of_several_files_keeps_the_finished_ones(
    server, fetch, data, tools, tmp_path
):
    one = server.script("/one.h5ad", tools.serve(data[:5000]))
    two = server.script("/two.h5ad", tools.serve(data, cut=1000))
    with pytest.raises(FetchError):
        fetch(f"{one} {two}", patience=tools.weak)
    server.script("/two.h5ad", tools.serve(data))
    fetched = fetch(f"{one} {two}")
    assert [Path(f.path).stat().st_size for f in fetched.files] == [5000, len(data)]
    assert [r.path for r in server.requests] == ["/one.h5ad", "/two.h5ad", "/two.h5ad"]
    assert server.requests[-1].headers["Range"] == "bytes=1000-"


def test_whole_run_offline_when_everything_is_there(fetch, data, tools, tmp_path, monkeypatch):
    """Every kind of source at once: nothing may even open a socket."""
    import socket

    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    folder = tmp_path / "atlas"
    folder.mkdir()
    for name in ("a.h5ad", "b.h5ad"):
        (folder / name).write_bytes(data[:100])
    sums = " ".join([tools.sha(data[:100])] * 2)
    fetched = fetch("https://e.org/a.h5ad https://e.org/b.h5ad", sums)
    assert fetched.checksum == "pinned"
