"""Downloads that break: from a real server that cuts, changes and stalls, by kill and full disk."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
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

from targetscore.errors import FetchError
from targetscore.fetch import Patience, Progress, fetch_atlas


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
        fetch(url, patience=tools.weak)
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


def test_gain_renews_patience_but_repeating_the_same_bytes_does_not(server, fetch, data, tools):
    steps = [tools.serve(data, cut=1 << 20), tools.status(500), tools.status(500)]
    url = server.script("/a.h5ad", *steps, *steps, *steps, tools.serve(data))
    assert Path(fetch(url).location).read_bytes() == data

    stuck = server.script("/b.h5ad", tools.serve(data, ranges=False, cut=2 << 20))
    with pytest.raises(FetchError):
        fetch(stuck)
    assert sum(r.path == "/b.h5ad" for r in server.requests) == 1 + tools.patience.tries


def test_web_page_does_not_destroy_what_has_arrived(server, fetch, data, tools, tmp_path):
    page = tools.serve(b"<html>portal</html>", ranges=False, content_type="text/html")
    url = server.script("/a.h5ad", tools.serve(data, cut=5000), page, tools.serve(data))
    with pytest.raises(FetchError, match="web page"):
        fetch(url)
    assert (tmp_path / "atlas/a.h5ad.part").stat().st_size == 5000
    assert Path(fetch(url).location).read_bytes() == data
    assert server.requests[2].headers["Range"] == "bytes=5000-"


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


def test_part_of_another_url_or_without_description_is_not_used(
    server, fetch, data, tools, tmp_path
):
    with pytest.raises(FetchError):
        fetch(server.script("/1/a.h5ad", tools.serve(data, cut=1000)), patience=tools.weak)
    url = server.script("/2/a.h5ad", tools.serve(data[::-1], cut=1000))
    with pytest.raises(FetchError):
        fetch(url, patience=tools.weak)
    assert "Range" not in server.requests[-1].headers
    (tmp_path / "atlas/a.h5ad.part.json").write_text("{not json")
    server.script("/2/a.h5ad", tools.serve(data[::-1]))
    assert Path(fetch(url).location).read_bytes() == data[::-1]
    assert "Range" not in server.requests[-1].headers


def test_part_that_is_complete_needs_no_request(server, fetch, data, tools, tmp_path):
    url = server.script("/a.h5ad", tools.serve(data, cut=1000))
    with pytest.raises(FetchError):
        fetch(url, patience=tools.weak)
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
    assert f"{len(data) - kept:,} bytes are needed, 4,321 are free" in tools.wrong(caught)
    monkeypatch.undo()
    assert Path(fetch(url).location).read_bytes() == data
    assert server.requests[1].headers["Range"] == f"bytes={kept}-"


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
