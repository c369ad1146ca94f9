"""What is there already is used; offline, behind a proxy, and over TLS."""

from __future__ import annotations

import errno
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from targetscore.errors import FetchError


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
    assert tools.names(tmp_path) == []
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    assert Path(fetch(url).location).read_bytes() == data

    plain = start_server()
    target = plain.script("/b.h5ad", tools.serve(data))
    down = secure.script("/b.h5ad", tools.status(302, {"Location": target}))
    with pytest.raises(FetchError, match="redirects from https: to http:"):
        fetch(down)
    assert plain.requests == []
