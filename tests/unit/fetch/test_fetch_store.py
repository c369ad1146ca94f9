"""TileDB-SOMA stores: a folder is checked like any folder, a server's store is left there."""

import pytest

from targetscore.errors import FetchError, RegistryError
from targetscore.fetch import (
    from_manifest,
    local_files,
    local_location,
    to_manifest,
    verify_local,
)
from targetscore.fetch.manifest import folder_checksum

CENSUS = "census:2025-11-08?disease=plasma+cell+myeloma&is_primary_data=True"


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "experiment"
    (folder / "obs").mkdir(parents=True)
    (folder / "obs/__schema.tdb").write_bytes(b"schema")
    return folder


@pytest.fixture
def soma(make_row):
    return lambda url, sha256="": make_row(url, sha256, format="soma")


def test_local_store_is_a_folder(soma, store, tools, fetch_row):
    checksum = folder_checksum([("obs/__schema.tdb", tools.sha(b"schema"))])
    row = soma(f"soma:{store}?tissue=bone+marrow", checksum)
    assert local_location(row, tools.registry) == str(store)
    assert local_files(row, tools.registry) == [str(store / "obs/__schema.tdb")]
    assert verify_local(row, tools.registry) == []
    fetched = fetch_row(row)
    assert (fetched.location, fetched.checksum) == (str(store), "pinned")
    assert fetched.sha256 == checksum
    with pytest.raises(FetchError, match="another checksum"):
        fetch_row(soma(f"soma:{store}", "0" * 64))
    (problem,) = verify_local(soma(f"soma:{store}-not"), tools.registry)
    assert "there is no file or folder" in problem.wrong


def test_census_is_read_where_it_is(soma, tools, fetch_row):
    row = soma(CENSUS)
    assert local_location(row, tools.registry) is None
    assert local_files(row, tools.registry) == []
    assert verify_local(row, tools.registry) == []
    fetched = fetch_row(row)
    assert fetched.location.startswith("s3://cellxgene-census-public-us-west-2/")
    assert "/2025-11-08/" in fetched.location
    assert fetched.checksum.startswith("none: read where it is")
    assert fetched.sha256 == ""
    assert from_manifest(to_manifest(fetched)) == fetched


def test_variable_in_a_store_url(soma, store, tools, fetch_row, monkeypatch):
    row = soma("soma:${STORES}/experiment")
    with pytest.raises(RegistryError, match="STORES is not set"):
        fetch_row(row)
    (problem,) = verify_local(row, tools.registry)
    assert "STORES is not set" in problem.wrong
    monkeypatch.setenv("STORES", str(store.parent))
    assert fetch_row(row).location == str(store)
    assert fetch_row(row).files[0].url == "soma:${STORES}/experiment"
    monkeypatch.setenv("STORES", "/my stores")
    (problem,) = verify_local(row, tools.registry)
    assert "with its variables is no store (one store per row" in problem.wrong
