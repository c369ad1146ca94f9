"""Local files and folders, names of downloads, rows, archives, the manifest and progress."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from targetscore.errors import ContractError, FetchError, RegistryError
from targetscore.fetch import (
    Fetched,
    FetchedFile,
    Progress,
    fetch_atlas,
    from_manifest,
    local_files,
    local_location,
    local_path,
    to_manifest,
    verify_local,
)
from targetscore.fetch.sources import LONGEST_NAME, SIDECARS, file_name, sources
from targetscore.logs import logger
from targetscore.progress import size_text, time_text


@pytest.fixture
def folder(tmp_path):
    """Make a folder as a publisher may ship it."""
    place = tmp_path / "matrix"
    (place / "deep er").mkdir(parents=True)
    (place / "barcodes.tsv").write_bytes(b"AAA\nCCC\n")
    (place / "deep er" / "µ.mtx").write_bytes(b"1 1 1\n")
    (place / "empty").write_bytes(b"")
    (place / ".hidden").write_bytes(b"not counted")
    (place / ".cache").mkdir()
    (place / ".cache" / "x").write_bytes(b"not counted")
    return place


def shell_checksum(folder: Path) -> str:
    """Return the folder checksum by the command of the documentation."""
    command = (
        r"find -L . -type f -not -path '*/.*' -printf '%P\0' | xargs -0 sha256sum "
        "| LC_ALL=C sort | sha256sum"
    )
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().split()[0]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///data/a%20b.h5ad", "/data/a b.h5ad"),
        ("file://localhost/data/a#1.h5ad", "/data/a#1.h5ad"),
        ("FILE:/data/a", "/data/a"),
        ("data/a.h5ad", "data/a.h5ad"),
        ("/data/odd:name", "/data/odd:name"),
        ("https://example.org/a", None),
        ("HTTP://example.org/a", None),
        ("s3://bucket/a", None),
        ("simulate:myeloma?seed=1", None),
    ],
)
def test_local_path(url, path):
    assert local_path(url) == (None if path is None else Path(path))


@pytest.mark.parametrize("url", ["file://host/a", "file:a", "file://"])
def test_file_url_without_absolute_path_or_with_host(url):
    with pytest.raises(RegistryError):
        local_path(url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://e.org/x/a.h5ad?download=1#top", "a.h5ad"),
        ("https://e.org/x/a.h5ad/", "a.h5ad"),
        ("https://e.org/../../x", "x"),
        ("https://e.org/x/..", ""),
        ("https://e.org/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "_.._etc_passwd"),
        ("https://e.org/.bashrc", "bashrc"),
        ("https://e.org/a%00b%0a.h5ad", "a_b_.h5ad"),
        ("https://e.org/a\\b.h5ad", "a_b.h5ad"),
        ("https://e.org/", ""),
        ("https://e.org", ""),
        ("https://[bad/a.h5ad", ""),
    ],
)
def test_names_of_downloads(url, name):
    assert file_name(url) == name


@given(st.text(max_size=300))
@example("%2e%2e%2f" * 100)
@example("a" * 5000 + ".tar.gz")
def test_names_are_harmless(text):
    name = file_name(f"https://e.org/x/{text}")
    assert re.fullmatch(r"([A-Za-z0-9_+-][A-Za-z0-9._+-]*)?", name)
    assert len(name) <= LONGEST_NAME


def test_long_names_stay_different_and_keep_their_ending():
    one, two = (file_name(f"https://e.org/{'a' * 5000}{n}.tar.gz") for n in "12")
    assert one != two
    assert one.endswith(".tar.gz")


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://e.org/", "does not end in a file name"),
        ("https://e.org/x/..", "does not end in a file name"),
        ("https://e.org/.tar.gz https://e.org/a/tar.gz", "also kept as"),
        ("https://e.org/1/a.h5ad https://e.org/2/A.h5ad", "also kept as"),
        ("https://e.org/a.tar https://e.org/a.tar.gz", "also kept as"),
        ("https://e.org/a.tar https://e.org/a", "also kept as"),
        *((f"https://e.org/a{ending}", "ends like a file") for ending in SIDECARS),
        ("https://user:secret@e.org/a.h5ad", "user name or password"),
        ("https://e.org:99999/a.h5ad", "is not a URL"),
        ("https://[bad/a.h5ad", "is not a URL"),
        ("https:///a.h5ad", "is not a URL"),
        ("ftp://e.org/a.h5ad", "not supported"),
        ("s3://bucket/a.h5ad", "not supported"),
        ("cellxgene:53d208b0", "holds no id of a dataset"),
        ("simulate:x simulate:y", "not supported"),
        ("one/a.h5ad two/b.h5ad", "not in one folder"),
        ("one/a.h5ad https://e.org/b.h5ad", "not in one folder"),
        ("${NOT_SET_ANYWHERE}/a.h5ad", "NOT_SET_ANYWHERE is not set"),
        ("file://host/a.h5ad", "absolute path and no host"),
    ],
)
def test_rows_that_cannot_be_used(make_row, tools, tmp_path, url, wrong):
    row = make_row(url)
    problems = verify_local(row, tools.registry)
    assert any(wrong in p.wrong for p in problems)
    assert all(p.file == tools.registry and p.remedy for p in problems)
    assert "secret" not in "".join(map(str, problems))
    with pytest.raises(RegistryError) as caught:
        fetch_atlas(row, tools.registry, str(tmp_path / "atlas"), Progress(io.StringIO()))
    assert caught.value.problems == problems
    assert not (tmp_path / "atlas").exists()


def test_all_problems_of_a_row_at_once(make_row, tools):
    row = make_row("ftp://e.org/a ${NOT_SET_ANYWHERE}/b https://e.org/")
    assert len(verify_local(row, tools.registry)) == 3


def test_local_file_is_used_where_it_is(fetch, tools, tmp_path):
    place = tmp_path / "a b.h5ad"
    place.write_bytes(b"cells")
    for url in (f"file://{tmp_path}/a%20b.h5ad", (tmp_path / "a%20b.h5ad").as_uri()):
        if "%2520" in url:
            with pytest.raises(FetchError, match="no file or folder"):
                fetch(url)
            continue
        fetched = fetch(url)
        assert fetched.location == str(place)
        assert fetched.files == (FetchedFile(str(place), url, 5, tools.sha(b"cells")),)
        assert fetched.checksum == "unknown until first fetch"
    assert not (tmp_path / "atlas").exists()


def test_environment_is_expanded_but_not_stored(fetch, tools, tmp_path, monkeypatch):
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data/a.h5ad").write_bytes(b"cells")
    monkeypatch.setenv("ATLASES", str(tmp_path / "my data"))
    fetched = fetch("${ATLASES}/a.h5ad", tools.sha(b"cells"))
    assert fetched.location == str(tmp_path / "my data/a.h5ad")
    assert fetched.files[0].url == "${ATLASES}/a.h5ad"
    assert fetched.checksum == "pinned"


def test_secret_in_a_url_is_not_shown_or_stored(server, fetch, data, tools, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cret")
    server.script("/a.h5ad?key=s3cret", tools.serve(data))
    fetched = fetch(server.url("/a.h5ad?key=${TOKEN}"))
    assert server.requests[0].path.endswith("s3cret")
    assert "s3cret" not in json.dumps(to_manifest(fetched))
    assert "s3cret" not in (tmp_path / "atlas/a.h5ad.sha256").read_text()
    with pytest.raises(FetchError) as caught:
        fetch(server.url("/b.h5ad?key=${TOKEN}"))
    assert "s3cret" not in str(caught.value)


def test_folder_checksum_is_the_documented_one(fetch, make_row, tools, folder):
    checksum = shell_checksum(folder)
    fetched = fetch(str(folder), checksum)
    assert fetched.location == str(folder)
    assert fetched.checksum == "pinned"
    listed = [Path(f.path).relative_to(folder).as_posix() for f in fetched.files]
    assert listed == ["barcodes.tsv", "deep er/µ.mtx", "empty"]
    (folder / "empty").write_bytes(b"no more")
    (problem,) = verify_local(make_row(str(folder), checksum), tools.registry)
    assert checksum in problem.wrong
    assert shell_checksum(folder) in problem.wrong


def test_folder_checksum_follows_links_to_files(fetch, folder, tmp_path):
    (tmp_path / "store").write_bytes(b"linked")
    (folder / "link").symlink_to(tmp_path / "store")
    assert len(fetch(str(folder), shell_checksum(folder)).files) == 4


def test_what_a_folder_must_not_hold(make_row, tools, folder, tmp_path):
    (tmp_path / "other").mkdir()
    (folder / "linked_folder").symlink_to(tmp_path / "other")
    (folder / "broken").symlink_to(tmp_path / "nothing")
    (folder / "two\nlines").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"x")
    os.mkfifo(folder / "pipe")
    problems = verify_local(make_row(str(folder)), tools.registry)
    assert len(problems) == 5
    assert all("\n" not in p.wrong and p.wrong.isprintable() for p in problems)


def test_verify_local(make_row, tools, tmp_path):
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.write_bytes(b"cells")
    empty.write_bytes(b"")
    (tmp_path / "nothing_in_it").mkdir()
    right, other = tools.sha(b"cells"), tools.sha(b"other")

    def problems(url, sha256=""):
        return [p.wrong for p in verify_local(make_row(url, sha256), tools.registry)]

    assert problems(str(full)) == []
    assert problems(str(full), right) == []
    (wrong,) = problems(str(full), other)
    assert right in wrong
    assert other in wrong
    assert "is empty" in problems(str(empty))[0]
    assert "is empty" in problems(str(tmp_path / "nothing_in_it"))[0]
    assert "there is no file" in problems(str(tmp_path / "gone"))[0]
    assert "there is no file" in problems("file:///a%00b")[0]
    assert len(problems(f"{empty} {full} {tmp_path}/gone", f"- {other} -")) == 3
    assert problems("https://e.org/a.h5ad", right) == []
    assert problems("simulate:myeloma?seed=1") == []


def test_several_files_share_a_location(server, fetch, data, tools, tmp_path):
    one = server.script("/a.mtx.gz", tools.serve(data))
    two = server.script("/b.tsv.gz", tools.serve(data[:99]))
    fetched = fetch(f"{one} {two}", f"{tools.sha(data)} -")
    assert fetched.location == str(tmp_path / "atlas")
    assert [Path(f.path).name for f in fetched.files] == ["a.mtx.gz", "b.tsv.gz"]
    assert fetched.checksum == "unknown until first fetch"


def test_what_is_local_before_any_job(make_row, tools, folder, tmp_path):
    def both(url):
        row = make_row(url)
        return local_files(row, tools.registry), local_location(row, tools.registry)

    one, packed = tmp_path / "a.h5ad", tmp_path / "x.tar"
    one.write_bytes(b"cells")
    packed.write_bytes(b"archive")
    inside = [str(folder / n) for n in ("barcodes.tsv", "deep er/µ.mtx", "empty")]
    assert both(str(one)) == ([str(one)], str(one))
    assert both(str(folder)) == (inside, str(folder))
    assert both(str(packed)) == ([str(packed)], None)
    assert both(str(tmp_path / "gone")) == ([], None)
    assert both("https://e.org/a.h5ad") == ([], None)
    assert both("simulate:x") == ([], None)


def test_simulated_atlas_is_left_alone(fetch, tmp_path):
    url = "simulate:myeloma?seed=1&donors=3"
    fetched = fetch(url)
    assert (fetched.location, fetched.files, fetched.checksum) == (url, (), "simulated")
    assert not (tmp_path / "atlas").exists()


def tar(members, mode="w:gz") -> bytes:
    """Pack members given as name → bytes, or as a ready TarInfo."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            body = b"" if isinstance(content, tarfile.TarInfo) else content
            info.name, info.size = name, len(body)
            archive.addfile(info, io.BytesIO(body))
    return packed.getvalue()


def link(kind, target) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("name", "mode"), [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.TGZ", "w:gz")]
)
def test_archive_is_unpacked(server, fetch, tools, tmp_path, name, mode):
    packed = tar([("s1/matrix.mtx", b"1"), ("s1/genes.tsv", b"g")], mode)
    fetched = fetch(server.script(f"/{name}", tools.serve(packed)), tools.sha(packed))
    assert fetched.location == str(tmp_path / "atlas/x")
    assert Path(fetched.location, "s1/genes.tsv").read_bytes() == b"g"
    assert [f.sha256 for f in fetched.files] == [tools.sha(packed)]


def test_local_archive_is_unpacked_and_left_alone(fetch, tmp_path):
    packed = tmp_path / "x.tar"
    packed.write_bytes(tar([("a", b"1")], "w"))
    fetched = fetch(str(packed))
    assert fetched.location == str(tmp_path / "atlas/x")
    assert fetched.files[0].path == str(packed)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["atlas", "x.tar"]


def test_archive_is_unpacked_once_per_checksum(fetch, tmp_path):
    packed = tmp_path / "x.tar"
    packed.write_bytes(tar([("a", b"1"), ("old", b"1")], "w"))
    place = Path(fetch(str(packed)).location)
    before = place.stat().st_ino
    fetch(str(packed))
    assert place.stat().st_ino == before
    packed.write_bytes(tar([("a", b"2")], "w"))
    fetch(str(packed))
    assert sorted(p.name for p in place.iterdir()) == ["a"]
    assert (place / "a").read_bytes() == b"2"


def test_half_unpacked_archive_is_unpacked_anew(fetch, tmp_path):
    packed = tmp_path / "x.tar"
    packed.write_bytes(tar([("a", b"1")], "w"))
    growing = tmp_path / "atlas/.x.unpacking"
    growing.mkdir(parents=True)
    (growing / "stale").write_bytes(b"x")
    place = Path(fetch(str(packed)).location)
    assert [p.name for p in place.iterdir()] == ["a"]
    assert not growing.exists()


@pytest.mark.parametrize(
    "members",
    [
        [("good", b"1"), ("../../evil", b"x")],
        [("good", b"1"), ("a/../../../evil", b"x")],
        [("good", b"1"), ("l", link(tarfile.SYMTYPE, "/etc"))],
        [("good", b"1"), ("l", link(tarfile.SYMTYPE, "good"))],
        [("good", b"1"), ("l", link(tarfile.LNKTYPE, "good"))],
        [("good", b"1"), ("dev", link(tarfile.CHRTYPE, ""))],
        [("good", b"1"), ("pipe", link(tarfile.FIFOTYPE, ""))],
    ],
    ids=["parent", "hidden parent", "outer link", "inner link", "hard link", "device", "fifo"],
)
def test_hostile_archive_is_refused(fetch, tmp_path, members):
    packed = tmp_path / "x.tar"
    packed.write_bytes(tar(members, "w"))
    with pytest.raises(FetchError, match="refused"):
        fetch(str(packed))
    assert list((tmp_path / "atlas").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


def test_absolute_member_stays_inside(fetch, tmp_path):
    packed = tmp_path / "x.tar"
    packed.write_bytes(tar([(f"{tmp_path}/evil", b"x")], "w"))
    place = Path(fetch(str(packed)).location)
    assert not (tmp_path / "evil").exists()
    assert [p for p in place.rglob("*") if p.is_file()] == [place / str(tmp_path)[1:] / "evil"]


@pytest.mark.parametrize(
    "damage", ["cut", "flipped", "flipped xz", "no tar", "no member", "only folders"]
)
def test_damaged_archive_is_refused(fetch, tmp_path, damage):
    noise = bytes(range(256)) * 800
    whole = tar([("a", noise), ("b", noise[::-1])])
    xz = tar([("a", np.random.default_rng(0).bytes(200_000))], "w:xz")
    folder = tarfile.TarInfo()
    folder.type = tarfile.DIRTYPE
    content = {
        "cut": whole[: len(whole) // 2],
        "flipped": whole[:-6] + b"\x00\x00" + whole[-4:],
        "flipped xz": xz[: len(xz) // 2] + b"\xff" * 40 + xz[len(xz) // 2 + 40 :],
        "no tar": b"no archive at all",
        "no member": tar([]),
        "only folders": tar([("folder", folder)]),
    }[damage]
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(FetchError):
        fetch(str(tmp_path / "x.tar.gz"))
    assert list((tmp_path / "atlas").iterdir()) == []


def test_full_disk_while_unpacking(fetch, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    packed = tmp_path / "x.tar"
    packed.write_bytes(tar([("a", b"1" * 1234), ("b", b"22")], "w"))
    monkeypatch.setattr(tarfile.TarFile, "makefile", full)
    with pytest.raises(FetchError, match=r"full: 1,236 bytes are needed, [\d,]+ are free"):
        fetch(str(packed))
    assert list((tmp_path / "atlas").iterdir()) == []


def test_manifest_round_trip():
    files = (FetchedFile("a", "https://e.org/a", 3, "0" * 64),)
    for fetched in (Fetched("demo", "1", "a", files, "pinned"), Fetched("d", "1", "b", (), "x")):
        stored = json.loads(json.dumps(to_manifest(fetched)))
        assert from_manifest(stored) == fetched


@pytest.mark.parametrize(
    "change", [{"files": 3}, {"extra": 1}, {"files": [{"path": "a"}]}, {"version": None}]
)
def test_broken_manifest(change):
    manifest = to_manifest(Fetched("demo", "1", "a", (), "pinned"))
    with pytest.raises(ContractError):
        from_manifest({**manifest, **change})


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_progress_on_a_terminal_is_one_line_at_most_five_times_a_second():
    stream, clock = Terminal(), Clock()
    progress = Progress(stream, clock)
    progress.start("a\x1b[31m.h5ad", 10_000_000, done=5_000_000)
    for _ in range(1000):
        clock.now += 0.001
        progress.advance(2000)
    assert 4 <= stream.getvalue().count("\r") <= 6
    assert "\n" not in stream.getvalue()
    assert "\x1b[31m" not in stream.getvalue()
    assert progress.line().endswith("7.0 MB of 10.0 MB, 2.0 MB/s, 0:00:02 left")
    progress.finish()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_progress_in_a_log_is_a_line_every_thirty_seconds(caplog):
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock)
    progress.start("a.h5ad", None)
    with caplog.at_level("INFO", logger=logger.name):
        for _ in range(95):
            clock.now += 1
            progress.advance(1000)
    assert stream.getvalue() == ""
    assert [r.message for r in caplog.records] == [
        f"a.h5ad: {n}.0 kB, 1.0 kB/s" for n in (30, 60, 90)
    ]


def test_texts():
    assert [size_text(n) for n in (0, 999, 1500, 2e6, 3e9, 4e15)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.0 MB",
        "3.0 GB",
        "4000.0 TB",
    ]
    assert time_text(3725.4) == "1:02:05"


def test_sources_read_several_urls(make_row, tools):
    row = make_row("https://e.org/a.tar.gz  https://e.org/b.h5ad", f"- {'0' * 64}")
    one, two = sources(row, tools.registry)
    assert (one.sha256, one.archive, one.stem) == ("", True, "a")
    assert (two.sha256, two.archive, two.name) == ("0" * 64, False, "b.h5ad")
