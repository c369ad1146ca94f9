"""Downloads against a real server that breaks, lies, changes and stalls."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from targetscore import __version__
from targetscore.errors import FetchError
from targetscore.fetch import Patience, Progress, fetch_atlas
from targetscore.fetch.connection import LONGEST_RETRY_AFTER, retry_after

WEAK = Patience(tries=1, timeout=2.0)


def names(tmp_path):
    folder = tmp_path / "atlas"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def wrong(caught) -> str:
    (problem,) = caught.value.problems
    assert problem.file == "config/atlases.tsv"
    assert problem.place.startswith("atlas demo, ")
    assert problem.remedy
    return problem.wrong


def test_plain_download(server, fetch, data, tools, tmp_path):
    url = server.script("/x/a.h5ad", tools.serve(data))
    fetched = fetch(url, tools.sha(data))
    assert Path(fetched.location).read_bytes() == data
    (file,) = fetched.files
    assert (file.path, file.url) == (fetched.location, url)
    assert (file.n_bytes, file.sha256) == (len(data), tools.sha(data))
    assert fetched.checksum == "pinned"
    assert names(tmp_path) == ["a.h5ad", "a.h5ad.sha256"]
    (asked,) = server.requests
    assert asked.headers["User-Agent"] == f"targetscore/{__version__}"
    assert asked.headers["Accept-Encoding"] == "identity"


def test_record_is_readable_by_sha256sum(server, fetch, data, tools, tmp_path):
    fetched = fetch(server.script("/a.h5ad", tools.serve(data)))
    assert fetched.checksum == "unknown until first fetch"
    check = ["sha256sum", "--check", "--strict", "a.h5ad.sha256"]
    done = subprocess.run(check, cwd=tmp_path / "atlas", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "a.h5ad: OK\n"), done.stderr


@pytest.mark.parametrize("validator", [{"etag": '"v1"'}, {"etag": None, "modified": "date"}])
def test_break_in_the_middle_is_resumed(server, fetch, data, tools, validator):
    if "modified" in validator:
        validator = {"etag": None, "modified": formatdate(0, usegmt=True)}
    half = len(data) // 2
    broken = tools.serve(data, cut=half, **validator)
    url = server.script("/a.h5ad", broken, tools.serve(data, **validator))
    fetched = fetch(url)
    assert Path(fetched.location).read_bytes() == data
    first, second = server.requests
    assert second.headers["Range"] == f"bytes={half}-"
    assert second.headers["If-Range"] == next(v for v in validator.values() if v)
    assert first.sent + second.sent == len(data)


@pytest.mark.parametrize(
    "validator",
    [{"etag": None}, {"etag": 'W/"v1"'}],
    ids=["nothing", "weak ETag"],
)
def test_without_a_sound_validator_it_starts_anew(server, fetch, data, tools, validator):
    broken = tools.serve(data, cut=1000, **validator)
    url = server.script("/a.h5ad", broken, tools.serve(data, **validator))
    assert Path(fetch(url).location).read_bytes() == data
    assert "Range" not in server.requests[1].headers


def test_range_ignored_by_server(server, fetch, data, tools):
    broken = tools.serve(data, cut=len(data) // 2)
    url = server.script("/a.h5ad", broken, tools.serve(data, ranges=False))
    assert Path(fetch(url).location).read_bytes() == data
    assert "Range" in server.requests[1].headers
    assert server.requests[1].sent == len(data)


@pytest.mark.parametrize("if_range", [True, False], ids=["If-Range kept", "If-Range ignored"])
def test_file_changed_between_tries(server, fetch, data, tools, if_range):
    new = data[::-1]
    broken = tools.serve(data, cut=len(data) // 2)
    changed = tools.serve(new, etag='"v2"', if_range=if_range)
    assert Path(fetch(server.script("/a.h5ad", broken, changed)).location).read_bytes() == new
    assert len(server.requests) == (2 if if_range else 3)


def test_file_changed_of_which_only_the_date_tells(server, fetch, data, tools):
    new = data[::-1]
    broken = tools.serve(data, etag=None, modified="Mon, 01 Jan 2024 00:00:00 GMT", cut=1000)
    later = "Tue, 02 Jan 2024 00:00:00 GMT"
    changed = tools.serve(new, etag=None, modified=later, if_range=False)
    assert Path(fetch(server.script("/a.h5ad", broken, changed)).location).read_bytes() == new


def test_part_that_is_longer_than_the_file(server, fetch, data, tools, tmp_path):
    url = server.script("/a.h5ad", tools.serve(data, cut=1000))
    with pytest.raises(FetchError):
        fetch(url, patience=WEAK)
    (tmp_path / "atlas/a.h5ad.part").write_bytes(data + b"more")
    server.script("/a.h5ad", tools.serve(data))
    assert Path(fetch(url).location).read_bytes() == data


def test_file_that_changed_only_its_size(server, fetch, data, tools, caplog):
    new = data + b"more"
    broken = tools.serve(data, cut=len(data) // 2)
    changed = tools.serve(new, if_range=False)
    assert Path(fetch(server.script("/a.h5ad", broken, changed)).location).read_bytes() == new
    assert "changed its size" in caplog.text


def test_file_that_became_shorter_than_the_part(server, fetch, data, tools):
    new = data[:1000]
    broken = tools.serve(data, cut=2000)
    changed = tools.serve(new, if_range=False)
    assert Path(fetch(server.script("/a.h5ad", broken, changed)).location).read_bytes() == new


@pytest.mark.parametrize("start", [0, 500, 1500])
def test_wrong_range_in_answer(server, fetch, data, tools, start):
    """The answer has the length that was asked for, but is of another place."""

    def other_range(handler):
        body = data[start:][: len(data) - 1000]
        handler.send_response(206)
        handler.send_header("ETag", '"v1"')
        span = f"bytes {start}-{start + len(body) - 1}/{len(data)}"
        handler.send_header("Content-Range", span)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.body(body)

    broken = tools.serve(data, cut=1000)
    url = server.script("/a.h5ad", broken, other_range, tools.serve(data))
    assert Path(fetch(url).location).read_bytes() == data


def test_500_with_a_body_then_fine(server, fetch, data, tools):
    url = server.script("/a.h5ad", tools.status(500, body=b"x" * 5000), tools.serve(data))
    assert Path(fetch(url).location).read_bytes() == data


def test_500_for_ever(server, fetch, tools, tmp_path):
    url = server.script("/a.h5ad", tools.status(503))
    with pytest.raises(FetchError) as caught:
        fetch(url)
    assert "503" in wrong(caught)
    assert len(server.requests) == tools.patience.tries
    assert names(tmp_path) == []


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


def test_gain_renews_patience_but_repeating_the_same_bytes_does_not(server, fetch, data, tools):
    steps = [tools.serve(data, cut=1 << 20), tools.status(500), tools.status(500)]
    url = server.script("/a.h5ad", *steps, *steps, *steps, tools.serve(data))
    assert Path(fetch(url).location).read_bytes() == data

    stuck = server.script("/b.h5ad", tools.serve(data, ranges=False, cut=2 << 20))
    with pytest.raises(FetchError):
        fetch(stuck)
    assert sum(r.path == "/b.h5ad" for r in server.requests) == 1 + tools.patience.tries


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
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 416, 451])
def test_4xx_fails_at_once(server, fetch, tools, code, tmp_path):
    url = server.script("/a.h5ad", tools.status(code))
    with pytest.raises(FetchError) as caught:
        fetch(url)
    assert str(code) in wrong(caught)
    assert url in caught.value.problems[0].place
    assert len(server.requests) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [202, 204])
def test_other_success_is_no_file(server, fetch, tools, code):
    url = server.script("/a.h5ad", tools.status(code, body=b""))
    with pytest.raises(FetchError) as caught:
        fetch(url)
    assert str(code) in wrong(caught)


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_is_no_data(server, fetch, data, tools, tmp_path, pinned, content_type):
    page = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"
    url = server.script("/a.h5ad", tools.serve(page, content_type=content_type))
    with pytest.raises(FetchError, match="web page"):
        fetch(url, tools.sha(data) if pinned else "")
    assert names(tmp_path) == []


def test_web_page_does_not_destroy_what_has_arrived(server, fetch, data, tools, tmp_path):
    page = tools.serve(b"<html>portal</html>", ranges=False, content_type="text/html")
    url = server.script("/a.h5ad", tools.serve(data, cut=5000), page, tools.serve(data))
    with pytest.raises(FetchError, match="web page"):
        fetch(url)
    assert (tmp_path / "atlas/a.h5ad.part").stat().st_size == 5000
    assert Path(fetch(url).location).read_bytes() == data
    assert server.requests[2].headers["Range"] == "bytes=5000-"


def test_declared_longer_than_sent(server, fetch, data, tools, tmp_path):
    lie = tools.serve(data[:1000], declare=1500, etag=None)
    with pytest.raises(FetchError, match="500 bytes before the end"):
        fetch(server.script("/a.h5ad", lie))
    assert "a.h5ad" not in names(tmp_path)


@pytest.mark.parametrize("surplus", [1, 500, 100_000])
def test_declared_shorter_than_sent(server, fetch, data, tools, tmp_path, surplus):
    lie = tools.serve(data[: 1000 + surplus], declare=1000)
    with pytest.raises(FetchError, match="more bytes than it declared"):
        fetch(server.script("/a.h5ad", lie))
    assert "a.h5ad" not in names(tmp_path)


@pytest.mark.parametrize("chunked", [False, True])
def test_range_answer_that_ends_too_early(server, fetch, data, tools, chunked):
    def short(handler):
        handler.send_response(206)
        handler.send_header("ETag", '"v1"')
        handler.send_header("Content-Range", f"bytes 1000-1999/{len(data)}")
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.body(data[1000:2000])

    url = server.script(
        "/a.h5ad", tools.serve(data, cut=1000, chunked=chunked), short, tools.serve(data)
    )
    assert Path(fetch(url).location).read_bytes() == data


def test_server_that_keeps_the_connection_open(server, fetch, data, tools):
    release = threading.Event()
    url = server.script("/a.h5ad", tools.serve(data, pause=release))
    begun = time.monotonic()
    assert Path(fetch(url).location).read_bytes() == data
    assert time.monotonic() - begun < 1.8
    release.set()


def test_stalled_connection_times_out(server, fetch, data, tools):
    release = threading.Event()
    stall = tools.serve(data, cut=1000, pause=release)
    url = server.script("/a.h5ad", stall, tools.serve(data))
    patience = Patience(tries=2, first_wait=0.01, timeout=0.3)
    assert Path(fetch(url, patience=patience).location).read_bytes() == data
    release.set()


def test_chunked_body(server, fetch, data, tools):
    cut = tools.serve(data, chunked=True, cut=25_000)
    url = server.script("/a.h5ad", cut, tools.serve(data, chunked=True))
    assert Path(fetch(url).location).read_bytes() == data
    assert server.requests[1].headers["Range"] == "bytes=25000-"


def test_body_of_unknown_length_needs_a_checksum(server, fetch, data, tools, tmp_path):
    url = server.script("/a.h5ad", tools.serve(data, until_close=True))
    with pytest.raises(FetchError, match="how long the file is"):
        fetch(url)
    assert names(tmp_path) == []
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
    assert expected in wrong(caught)
    assert tools.sha(data) in wrong(caught)
    assert names(tmp_path) == ["a.h5ad.wrong-checksum"]
    assert (tmp_path / "atlas/a.h5ad.wrong-checksum").read_bytes() == data


@pytest.mark.parametrize("pinned", [True, False])
def test_what_is_there_is_not_asked_for_again(server, fetch, data, tools, pinned):
    url = server.script("/a.h5ad", tools.serve(data))
    sha256 = tools.sha(data) if pinned else ""
    first = fetch(url, sha256)
    assert fetch(url, sha256) == first
    assert len(server.requests) == 1


def test_offline(fetch, data, tools, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    (tmp_path / "atlas").mkdir()
    (tmp_path / "atlas/a.h5ad").write_bytes(data)
    url = "https://atlas.example.org/a.h5ad"
    assert fetch(url, tools.sha(data)).files[0].sha256 == tools.sha(data)
    assert fetch(url).files[0].n_bytes == len(data)
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch("https://atlas.example.org/b.h5ad")


def test_hand_placed_file_is_recorded_and_then_guarded(server, fetch, data, tools, tmp_path):
    url = server.script("/a.h5ad", tools.serve(data))
    (tmp_path / "atlas").mkdir()
    place = tmp_path / "atlas/a.h5ad"
    place.write_bytes(b"by hand")
    assert fetch(url).files[0].n_bytes == 7
    assert server.requests == []
    place.write_bytes(b"changed")
    assert fetch(url).files[0].sha256 == tools.sha(data)
    assert place.read_bytes() == data


def test_other_url_or_checksum_is_fetched_again(server, fetch, data, tools):
    old = server.script("/1/a.h5ad", tools.serve(data))
    new = server.script("/2/a.h5ad", tools.serve(data[::-1]))
    fetch(old)
    assert fetch(new).files[0].sha256 == tools.sha(data[::-1])
    assert fetch(old, tools.sha(data)).files[0].sha256 == tools.sha(data)
    assert len(server.requests) == 3


def test_old_file_survives_a_failed_update(server, fetch, data, tools, tmp_path):
    fetch(server.script("/a.h5ad", tools.serve(data), tools.status(404)))
    with pytest.raises(FetchError):
        fetch(server.url("/a.h5ad"), "1" * 64)
    assert (tmp_path / "atlas/a.h5ad").read_bytes() == data


def test_part_of_another_url_or_without_description_is_not_used(
    server, fetch, data, tools, tmp_path
):
    with pytest.raises(FetchError):
        fetch(server.script("/1/a.h5ad", tools.serve(data, cut=1000)), patience=WEAK)
    url = server.script("/2/a.h5ad", tools.serve(data[::-1], cut=1000))
    with pytest.raises(FetchError):
        fetch(url, patience=WEAK)
    assert "Range" not in server.requests[-1].headers
    (tmp_path / "atlas/a.h5ad.part.json").write_text("{not json")
    server.script("/2/a.h5ad", tools.serve(data[::-1]))
    assert Path(fetch(url).location).read_bytes() == data[::-1]
    assert "Range" not in server.requests[-1].headers


def test_part_that_is_complete_needs_no_request(server, fetch, data, tools, tmp_path):
    url = server.script("/a.h5ad", tools.serve(data, cut=1000))
    with pytest.raises(FetchError):
        fetch(url, patience=WEAK)
    (tmp_path / "atlas/a.h5ad.part").write_bytes(data)
    n_requests = len(server.requests)
    assert Path(fetch(url).location).read_bytes() == data
    assert len(server.requests) == n_requests


SCRIPT = """
import sys
from targetscore.config import AtlasRow
from targetscore.fetch import Progress, fetch_atlas
row = AtlasRow(atlas="demo", kind="tumour", format="h5ad", version="1", licence="CC0-1.0",
               url=sys.argv[1])
fetch_atlas(row, "config/atlases.tsv", sys.argv[2], Progress())
"""


def test_killed_process_goes_on_where_it_was(server, fetch, data, tools, tmp_path):
    half = len(data) // 2
    release = threading.Event()
    stall = tools.serve(data, cut=half, pause=release)
    url = server.script("/a.h5ad", stall, tools.serve(data))
    folder = tmp_path / "atlas"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, url, str(folder)])
    part = folder / "a.h5ad.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size == half):
        assert time.monotonic() < deadline, "the first half never arrived"
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    release.set()

    assert Path(fetch(url).location).read_bytes() == data
    first, second = server.requests
    assert second.headers["Range"] == f"bytes={half}-"
    assert (first.sent, second.sent) == (half, len(data) - half)


def test_full_disk_names_bytes_and_keeps_the_part(
    server, fetch, data, tools, tmp_path, monkeypatch
):
    room = 1 << 20
    real_open = Path.open

    class FullDisk(io.FileIO):
        def write(self, piece):
            if self.tell() + len(piece) > room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(piece)

    def open_small(self, mode="r", *args, **kwargs):
        if self.name.endswith(".part") and mode == "ab":
            return FullDisk(self, "ab")
        return real_open(self, mode, *args, **kwargs)

    url = server.script("/a.h5ad", tools.serve(data))
    monkeypatch.setattr(Path, "open", open_small)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 4321))
    with pytest.raises(FetchError) as caught:
        fetch(url)
    kept = (tmp_path / "atlas/a.h5ad.part").stat().st_size
    assert 0 < kept <= room
    assert f"{len(data) - kept:,} bytes are needed, 4,321 are free" in wrong(caught)
    monkeypatch.undo()
    assert Path(fetch(url).location).read_bytes() == data
    assert server.requests[1].headers["Range"] == f"bytes={kept}-"


def test_folder_that_cannot_be_written(server, fetch, data, tools, tmp_path):
    (tmp_path / "atlas").write_text("a file stands where the folder should")
    with pytest.raises(FetchError):
        fetch(server.script("/a.h5ad", tools.serve(data)))


def test_proxy_from_the_environment(server, fetch, data, tools, monkeypatch):
    url = "http://atlas.example.org/a.h5ad"
    server.script(url, tools.serve(data))
    monkeypatch.setenv("http_proxy", server.url(""))
    assert Path(fetch(url).location).read_bytes() == data
    assert server.requests[0].path == url


@pytest.fixture
def certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    place = tmp_path / "tls.pem"
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=t"
    command = ["openssl", *make.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", place, "-out", f"{place}.crt"], check=True, capture_output=True
    )
    place.write_bytes(place.read_bytes() + Path(f"{place}.crt").read_bytes())
    return place


def test_certificates_are_verified(
    start_server, fetch, data, tools, certificate, monkeypatch, tmp_path
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure = start_server(lambda s: context.wrap_socket(s, server_side=True))
    url = secure.script("/a.h5ad", tools.serve(data, cut=1000), tools.serve(data))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(FetchError, match="certificate"):
        fetch(url)
    assert names(tmp_path) == []
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    assert Path(fetch(url).location).read_bytes() == data

    plain = start_server()
    target = plain.script("/b.h5ad", tools.serve(data))
    down = secure.script("/b.h5ad", tools.status(302, {"Location": target}))
    with pytest.raises(FetchError, match="redirects from https: to http:"):
        fetch(down)
    assert plain.requests == []


def test_invalid_validator_of_a_server_is_not_sent_back(server, fetch, data, tools):
    odd = tools.serve(data, etag='"v\xe9"', cut=1000)
    assert Path(fetch(server.script("/a.h5ad", odd, tools.serve(data))).location).exists()
    assert "If-Range" not in server.requests[1].headers


STEP = st.tuples(
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(0, 4000)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEP, max_size=6))
@example([(3, 1, False, False, True), (1, None, True, False, False)])
def test_never_a_mixture(server, make_row, data, tools, steps):
    """Whatever the server does between tries, the file is one whole version of it."""
    versions = [data[n * 5000 : n * 5000 + 3000 + n % 2 * 500] for n in range(4)]
    answers = [
        tools.serve(
            versions[v],
            etag=f'"{v}"' if tagged else None,
            modified=f"date {v}",
            cut=cut,
            ranges=ranges,
            if_range=kept,
        )
        for v, cut, ranges, kept, tagged in steps
    ]
    url = server.script("/a.h5ad", *answers, tools.serve(versions[0], etag='"0"'))
    patience = Patience(tries=20, first_wait=0, timeout=2)
    with tempfile.TemporaryDirectory() as folder:
        fetched = fetch_atlas(
            make_row(url), tools.registry, folder, Progress(io.StringIO()), patience
        )
        got = Path(fetched.location).read_bytes()
    assert tools.sha(got) in map(tools.sha, versions)
    assert fetched.files[0].sha256 == tools.sha(got)
