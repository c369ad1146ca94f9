"""Downloads from a real server that answers rightly, errs and lies."""

from __future__ import annotations

import subprocess
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from targetscore import __version__
from targetscore.errors import FetchError
from targetscore.fetch import Patience
from targetscore.fetch.connection import LONGEST_RETRY_AFTER, retry_after


def test_plain_download(server, fetch, data, tools, tmp_path):
    url = server.script("/x/a.h5ad", tools.serve(data))
    fetched = fetch(url, tools.sha(data))
    assert Path(fetched.location).read_bytes() == data
    (file,) = fetched.files
    assert (file.path, file.url) == (fetched.location, url)
    assert (file.n_bytes, file.sha256) == (len(data), tools.sha(data))
    assert fetched.checksum == "pinned"
    assert tools.names(tmp_path) == ["a.h5ad", "a.h5ad.sha256"]
    (asked,) = server.requests
    assert asked.headers["User-Agent"] == f"targetscore/{__version__}"
    assert asked.headers["Accept-Encoding"] == "identity"


def test_record_is_readable_by_sha256sum(server, fetch, data, tools, tmp_path):
    fetched = fetch(server.script("/a.h5ad", tools.serve(data)))
    assert fetched.checksum == "unknown until first fetch"
    check = ["sha256sum", "--check", "--strict", "a.h5ad.sha256"]
    done = subprocess.run(check, cwd=tmp_path / "atlas", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "a.h5ad: OK\n"), done.stderr


def test_500_with_a_body_then_fine(server, fetch, data, tools):
    url = server.script("/a.h5ad", tools.status(500, body=b"x" * 5000), tools.serve(data))
    assert Path(fetch(url).location).read_bytes() == data


def test_500_for_ever(server, fetch, tools, tmp_path):
    url = server.script("/a.h5ad", tools.status(503))
    with pytest.raises(FetchError) as caught:
        fetch(url)
    assert "503" in tools.wrong(caught)
    assert len(server.requests) == tools.patience.tries
    assert tools.names(tmp_path) == []


def test_429_waits_as_long_as_asked(server, fetch, data, tools, monkeypatch):
    waits = []
    monkeypatch.setattr("targetscore.fetch.download.time.sleep", waits.append)
    busy = tools.status(429, {"Retry-After": "7"})
    url = server.script("/a.h5ad", busy, tools.status(502), tools.serve(data))
    fetch(url)
    assert waits == [7.0, 0.02]


def test_backoff_doubles_up_to_a_limit(server, fetch, tools, monkeypatch):
    waits = []
    monkeypatch.setattr("targetscore.fetch.download.time.sleep", waits.append)
    url = server.script("/a.h5ad", tools.status(500))
    with pytest.raises(FetchError):
        fetch(url, patience=Patience(tries=7, first_wait=1, longest_wait=10))
    assert waits == [1, 2, 4, 8, 10, 10]


def test_retry_after_forms():
    assert retry_after(None) is None
    assert retry_after("soon") is None
    assert retry_after("0") == 0
    assert retry_after("-3") is None
    assert retry_after("9" * 400) == LONGEST_RETRY_AFTER
    assert retry_after(formatdate(0, usegmt=True)) == 0
    assert 20 < retry_after(formatdate(time.time() + 30, usegmt=True)) <= 30


def test_redirect_is_followed_and_the_name_stays(server, fetch, data, tools):
    server.script("/store/8f3a", tools.serve(data))
    moved = tools.status(302, {"Location": "/store/8f3a"})
    fetched = fetch(server.script("/a.h5ad", moved))
    assert Path(fetched.location).name == "a.h5ad"
    assert Path(fetched.location).read_bytes() == data


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/a.h5ad"])
def test_redirect_elsewhere_or_in_circles_is_refused(server, fetch, tools, target, tmp_path):
    url = server.script("/a.h5ad", tools.status(302, {"Location": target}))
    with pytest.raises(FetchError):
        fetch(url)
    assert tools.names(tmp_path) == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 416, 451])
def test_4xx_fails_at_once(server, fetch, tools, code, tmp_path):
    url = server.script("/a.h5ad", tools.status(code))
    with pytest.raises(FetchError) as caught:
        fetch(url)
    assert str(code) in tools.wrong(caught)
    assert url in caught.value.problems[0].place
    assert len(server.requests) == 1
    assert tools.names(tmp_path) == []


@pytest.mark.parametrize("code", [202, 204])
def test_other_success_is_no_file(server, fetch, tools, code):
    url = server.script("/a.h5ad", tools.status(code, body=b""))
    with pytest.raises(FetchError) as caught:
        fetch(url)
    assert str(code) in tools.wrong(caught)


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_is_no_data(server, fetch, data, tools, tmp_path, pinned, content_type):
    page = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"
    url = server.script("/a.h5ad", tools.serve(page, content_type=content_type))
    with pytest.raises(FetchError, match="web page"):
        fetch(url, tools.sha(data) if pinned else "")
    assert tools.names(tmp_path) == []


def test_declared_longer_than_sent(server, fetch, data, tools, tmp_path):
    lie = tools.serve(data[:1000], declare=1500, etag=None)
    with pytest.raises(FetchError, match="500 bytes before the end"):
        fetch(server.script("/a.h5ad", lie))
    assert "a.h5ad" not in tools.names(tmp_path)


@pytest.mark.parametrize("surplus", [1, 500, 100_000])
def test_declared_shorter_than_sent(server, fetch, data, tools, tmp_path, surplus):
    lie = tools.serve(data[: 1000 + surplus], declare=1000)
    with pytest.raises(FetchError, match="more bytes than it declared"):
        fetch(server.script("/a.h5ad", lie))
    assert "a.h5ad" not in tools.names(tmp_path)


def test_chunked_body(server, fetch, data, tools):
    cut = tools.serve(data, chunked=True, cut=25_000)
    url = server.script("/a.h5ad", cut, tools.serve(data, chunked=True))
    assert Path(fetch(url).location).read_bytes() == data
    assert server.requests[1].headers["Range"] == "bytes=25000-"


def test_body_of_unknown_length_needs_a_checksum(server, fetch, data, tools, tmp_path):
    url = server.script("/a.h5ad", tools.serve(data, until_close=True))
    with pytest.raises(FetchError, match="how long the file is"):
        fetch(url)
    assert tools.names(tmp_path) == []
    assert Path(fetch(url, tools.sha(data)).location).read_bytes() == data


def test_empty_body_is_no_file(server, fetch, tools):
    for chunked in (True, False):
        with pytest.raises(FetchError):
            fetch(server.script("/a.h5ad", tools.serve_empty(chunked)))


def test_encoded_body(server, fetch, data, tools):
    with pytest.raises(FetchError, match="re-encoded"):
        fetch(server.script("/a.h5ad", tools.serve(data, encoding="gzip")))
    stored = fetch(server.script("/a.mtx.gz", tools.serve(data, encoding="x-gzip")))
    assert Path(stored.location).read_bytes() == data


def test_wrong_checksum(server, fetch, data, tools, tmp_path):
    expected = "0" * 64
    with pytest.raises(FetchError) as caught:
        fetch(server.script("/a.h5ad", tools.serve(data)), expected)
    assert expected in tools.wrong(caught)
    assert tools.sha(data) in tools.wrong(caught)
    assert tools.names(tmp_path) == ["a.h5ad.wrong-checksum"]
    assert (tmp_path / "atlas/a.h5ad.wrong-checksum").read_bytes() == data
