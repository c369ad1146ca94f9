"""Datasets of CELLxGENE Discover: resolved by a replayed API on a real server, then pinned."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from targetscore.errors import FetchError, RegistryError
from targetscore.fetch import Progress, fetch_atlas, from_manifest, local_files, to_manifest
from targetscore.fetch.sources import dataset_ids, sources

DATASET = "983d5ec9-40e8-4512-9e65-a572a9c486cb"
OLD, NEW = "11111111-aaaa-4bbb-8ccc-000000000001", "22222222-aaaa-4bbb-8ccc-000000000002"
VERSIONS = f"/curation/v1/datasets/{DATASET}/versions"


def term(label, term_id):
    return {"label": label, "ontology_term_id": term_id}


def answer(version, url, size, **change):
    """One dataset version with the fields the curation API has, invented where it is free."""
    return {
        "assay": [term("10x 3' v3", "EFO:0009922"), term("Smart-seq2", "EFO:0008931")],
        "assets": [
            {"filesize": 12, "filetype": "RDS", "url": url.replace(".h5ad", ".rds")},
            {"filesize": size, "filetype": "H5AD", "url": url},
        ],
        "batch_condition": ["donor_id"],
        "cell_count": 50115,
        "cell_type": [term("plasma cell", "CL:0000786")],
        "citation": "Publication: https://doi.org/10.1126/science.abl4896",
        "collection_id": "e5f58829-1a66-40b5-a624-9046778e74f5",
        "collection_version_id": "33333333-aaaa-4bbb-8ccc-000000000003",
        "dataset_id": DATASET,
        "dataset_version_id": version,
        "disease": [term("normal", "PATO:0000461")],
        "donor_id": ["TSP1", "TSP2"],
        "embeddings": ["X_umap"],
        "feature_biotype": ["gene"],
        "is_primary_data": [False],
        "mean_genes_per_cell": 2117.5,
        "organism": [term("Homo sapiens", "NCBITaxon:9606")],
        "primary_cell_count": 0,
        "published_at": "2023-02-03T00:00:00+00:00" if version == OLD else "2025-03-04T00:00:00",
        "raw_data_location": "raw.X",
        "schema_version": "5.2.0",
        "suspension_type": ["cell"],
        "tissue": [{"tissue_type": "tissue", **term("blood", "UBERON:0000178")}],
        "title": "Tabula Sapiens - Blood",
        "x_approximate_distribution": "NORMAL",
        **change,
    }


@pytest.fixture
def discover(server, tools, data, monkeypatch):
    """An API that knows one dataset in two versions, and the files of both."""
    monkeypatch.setenv("TARGETSCORE_CELLXGENE_API", server.url("/curation/v1/"))
    old = server.script(f"/{OLD}.h5ad", tools.serve(data[:5000]))
    new = server.script(f"/{NEW}.h5ad", tools.serve(data))
    versions = [answer(NEW, new, len(data)), answer(OLD, old, 5000)]
    server.script(VERSIONS, say(tools, versions))
    server.script(f"/curation/v1/dataset_versions/{OLD}", say(tools, versions[1]))
    return server


def say(tools, value, **more):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return tools.status(200, {"Content-Type": "application/json", **more}, text)


def asked(server):
    return [request.path for request in server.requests]


def test_newest_version_is_brought_and_described(discover, fetch, data, tools, tmp_path):
    fetched = fetch(f"cellxgene:{DATASET}")
    assert Path(fetched.location) == tmp_path / "atlas" / f"{NEW}.h5ad"
    assert Path(fetched.location).read_bytes() == data
    assert asked(discover) == [VERSIONS, f"/{NEW}.h5ad"]
    assert discover.requests[0].headers["Accept"] == "application/json"
    manifest = json.loads(json.dumps(to_manifest(fetched)))
    assert manifest["version"] == NEW
    assert manifest["checksum"] == "unknown until first fetch"
    assert manifest["resolved"] == [
        {
            "dataset": DATASET,
            "version": NEW,
            "url": discover.url(f"/{NEW}.h5ad"),
            "title": "Tabula Sapiens - Blood",
            "n_bytes": len(data),
            "n_cells": 50115,
        }
    ]
    (file,) = manifest["files"]
    assert (file["url"], file["n_bytes"]) == (discover.url(f"/{NEW}.h5ad"), len(data))
    assert file["sha256"] == tools.sha(data)
    assert from_manifest(manifest) == fetched


def test_later_runs_keep_the_version_and_need_no_network(discover, fetch, data, tools):
    first = fetch(f"cellxgene:{DATASET}")
    newer = answer(OLD, discover.url(f"/{OLD}.h5ad"), 5000, published_at="2099-01-01")
    discover.script(VERSIONS, say(tools, [newer]))
    n_requests = len(discover.requests)
    assert fetch(f"cellxgene:{DATASET.upper()}") == first
    assert len(discover.requests) == n_requests


def test_interrupted_download_goes_on_with_the_same_version(discover, fetch, data, tools):
    broken = tools.serve(data, cut=1000)
    discover.script(f"/{NEW}.h5ad", broken)
    with pytest.raises(FetchError):
        fetch(f"cellxgene:{DATASET}", patience=tools.weak)
    discover.script(VERSIONS, tools.status(500))
    discover.script(f"/{NEW}.h5ad", tools.serve(data))
    assert Path(fetch(f"cellxgene:{DATASET}").location).read_bytes() == data
    assert discover.requests[-1].headers["Range"] == "bytes=1000-"
    assert asked(discover).count(VERSIONS) == 1


def test_one_version_can_be_asked_for(discover, fetch, data):
    fetched = fetch(f"cellxgene:{DATASET}@{OLD}")
    assert Path(fetched.location).read_bytes() == data[:5000]
    assert fetched.version == OLD
    assert asked(discover) == [f"/curation/v1/dataset_versions/{OLD}", f"/{OLD}.h5ad"]


def test_newest_is_told_by_date_else_by_place(discover, fetch, tools, data):
    new, old = discover.url(f"/{NEW}.h5ad"), discover.url(f"/{OLD}.h5ad")
    wrong_order = [answer(OLD, old, 5000), answer(NEW, new, len(data))]
    discover.script(VERSIONS, say(tools, {"datasets": wrong_order}))
    assert fetch(f"cellxgene:{DATASET}").version == NEW


def test_undated_versions_stand_newest_first(discover, fetch, tools, data):
    new, old = discover.url(f"/{NEW}.h5ad"), discover.url(f"/{OLD}.h5ad")
    undated = [
        answer(NEW, new, -1, published_at=None, cell_count=None),
        answer(OLD, old, 5000, published_at=None),
    ]
    discover.script(VERSIONS, say(tools, undated))
    (known,) = fetch(f"cellxgene:{DATASET}").resolved
    assert (known.version, known.n_bytes, known.n_cells) == (NEW, None, None)


def test_api_errors_are_tried_again(discover, fetch, data, tools):
    good = say(tools, answer(NEW, discover.url(f"/{NEW}.h5ad"), len(data)))
    page = tools.status(503, {"Content-Type": "text/html"}, b"<html>busy</html>")
    discover.script(VERSIONS, tools.status(502), page, good)
    assert Path(fetch(f"cellxgene:{DATASET}").location).read_bytes() == data


@pytest.mark.parametrize("code", [404, 410])
def test_unknown_id(discover, fetch, tools, tmp_path, code):
    problem = {"detail": "Dataset not found!", "status": code, "title": "Not Found"}
    text = json.dumps(problem).encode()
    discover.script(VERSIONS, tools.status(code, {"Content-Type": "application/json"}, text))
    with pytest.raises(FetchError) as caught:
        fetch(f"cellxgene:{DATASET}")
    assert "knows no published dataset" in tools.wrong(caught)
    assert DATASET in str(caught.value)
    assert len(discover.requests) == 1
    assert tools.names(tmp_path) == []


def test_no_version_published(discover, fetch, tools):
    discover.script(VERSIONS, say(tools, []))
    with pytest.raises(FetchError, match="knows no published dataset"):
        fetch(f"cellxgene:{DATASET}")


def test_no_h5ad(discover, fetch, tools):
    only = [{"filesize": 3, "filetype": "RDS", "url": "https://e.org/a.rds"}]
    discover.script(VERSIONS, say(tools, [answer(NEW, "https://e.org/a.h5ad", 3, assets=only)]))
    with pytest.raises(FetchError) as caught:
        fetch(f"cellxgene:{DATASET}")
    assert "has no H5AD in CELLxGENE Discover, only RDS" in tools.wrong(caught)


OTHER = "53d208b0-2cfd-4366-9866-c3c6114081bc"


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[" * 100_000,
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'[{"dataset_id": 7}]',
        json.dumps([answer(NEW, "https://e.org/a.h5ad", 3, dataset_id=OTHER)]).encode(),
        json.dumps([answer(NEW, "https://e.org/a.h5ad", 3, assets="none")]).encode(),
        json.dumps([answer(NEW, "file:///etc/passwd", 3)]).encode(),
        json.dumps([answer(NEW, "https://u:p@e.org/a.h5ad", 3)]).encode(),
        json.dumps([answer(NEW, "https://e.org/a\nb.h5ad", 3)]).encode(),
        json.dumps([answer(NEW, f"cellxgene:{OTHER}", 3)]).encode(),
    ],
    ids=range(12),
)
def test_answer_that_cannot_be_understood(discover, fetch, tools, tmp_path, text):
    discover.script(VERSIONS, say(tools, text))
    with pytest.raises(FetchError) as caught:
        fetch(f"cellxgene:{DATASET}")
    assert "cannot be understood" in tools.wrong(caught)
    assert "write the address of its H5AD" in str(caught.value)
    assert tools.names(tmp_path) == []


def test_answer_about_another_version(discover, fetch, tools, data):
    new = answer(NEW, discover.url(f"/{NEW}.h5ad"), len(data))
    discover.script(f"/curation/v1/dataset_versions/{OLD}", say(tools, new))
    with pytest.raises(FetchError, match="another version"):
        fetch(f"cellxgene:{DATASET}@{OLD}")


def test_answer_without_end(discover, fetch, tools, monkeypatch):
    monkeypatch.setattr("targetscore.fetch.cellxgene.LONGEST_ANSWER", 5000)
    discover.script(VERSIONS, say(tools, b"[" + b" " * 9000 + b"]"))
    with pytest.raises(FetchError, match="does not end"):
        fetch(f"cellxgene:{DATASET}")


def test_api_is_down(discover, fetch, tools, monkeypatch):
    discover.script(VERSIONS, tools.status(500))
    with pytest.raises(FetchError) as caught:
        fetch(f"cellxgene:{DATASET}")
    assert "does not answer" in tools.wrong(caught)
    assert "the path of a file downloaded" in str(caught.value)
    assert len(discover.requests) == tools.patience.tries

    monkeypatch.setenv("TARGETSCORE_CELLXGENE_API", "http://127.0.0.1:9/nobody")
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch(f"cellxgene:{DATASET}", patience=tools.weak)


def test_login_page_instead_of_the_api(discover, fetch, tools):
    discover.script(VERSIONS, tools.status(200, {"Content-Type": "text/html"}, b"<html>"))
    with pytest.raises(FetchError) as caught:
        fetch(f"cellxgene:{DATASET}")
    assert "cannot be asked: the server sent a web page" in tools.wrong(caught)


def test_other_size_than_published(discover, fetch, tools, data):
    discover.script(VERSIONS, say(tools, [answer(NEW, discover.url(f"/{NEW}.h5ad"), 77)]))
    with pytest.raises(FetchError) as caught:
        fetch(f"cellxgene:{DATASET}")
    assert f"has {len(data):,} bytes, CELLxGENE Discover states 77" in tools.wrong(caught)


def test_record_that_was_damaged_is_asked_for_again(discover, fetch, tmp_path):
    fetch(f"cellxgene:{DATASET}")
    record = tmp_path / f"atlas/{DATASET}.cellxgene.json"
    for text in ("{", '{"dataset": 1}', record.read_text().replace(DATASET, OTHER)):
        record.write_text(text)
        assert fetch(f"cellxgene:{DATASET}").version == NEW
    assert asked(discover).count(VERSIONS) == 4
    assert asked(discover).count(f"/{NEW}.h5ad") == 1


def test_record_that_cannot_be_written(discover, fetch, tools, tmp_path):
    (tmp_path / "atlas").write_text("a file stands where the folder should")
    with pytest.raises(FetchError, match="cannot be written"):
        fetch(f"cellxgene:{DATASET}")


def test_pinned_row_needs_no_api_and_says_what_it_is(discover, make_row, data, tools, tmp_path):
    url = discover.url(f"/{NEW}.h5ad")
    row = make_row(url, tools.sha(data), dataset=DATASET).model_copy(update={"version": NEW})
    fetched = fetch_atlas(
        row, tools.registry, str(tmp_path / "a"), Progress(io.StringIO()), tools.patience
    )
    (known,) = fetched.resolved
    assert (known.dataset, known.version, known.url) == (DATASET, NEW, url)
    assert fetched.checksum == "pinned"
    assert asked(discover) == [f"/{NEW}.h5ad"]


def test_title_is_shown_without_control_characters(discover, fetch, tools, data, caplog):
    url = discover.url(f"/{NEW}.h5ad")
    title = "<b>Blood</b>\x1b[31m\u202e"
    discover.script(VERSIONS, say(tools, [answer(NEW, url, len(data), title=title)]))
    with caplog.at_level(logging.INFO):
        (known,) = fetch(f"cellxgene:{DATASET}").resolved
    assert known.title.isprintable()
    assert "\x1b" not in caplog.text


def test_ids_and_what_is_local(make_row, tools):
    assert dataset_ids(f"cellxgene:{DATASET}") == (DATASET, "")
    assert dataset_ids(f"CELLXGENE://{DATASET}@{OLD}") == (DATASET, OLD)
    for text in (f"cellxgene:{DATASET}/x", "cellxgene:", f"https://e.org/{DATASET}"):
        assert dataset_ids(text) is None
    row = make_row(f"cellxgene:{DATASET}")
    assert local_files(row, tools.registry) == []
    with pytest.raises(RegistryError, match="also kept as"):
        sources(make_row(f"cellxgene:{DATASET} cellxgene:{DATASET}"), tools.registry)
