"""The committed registry: every row says what it is, and claims no more than is known."""

import re

import pytest

from targetscore.assessable import statements, tissue_problems
from targetscore.config import is_store, load_registry, load_run, parse_store
from targetscore.fetch import checksum_status
from targetscore.fetch.sources import dataset_ids, sources

REGISTRY = "config/atlases.tsv"
ROLES = {
    "multiple_myeloma": "MONDO:0009693",
    "b_all": "MONDO:0004947",
    "b_cell_lymphoma": "MONDO:0015759",
    "aml": "MONDO:0018874",
    "sle": "MONDO:0007915",
}


@pytest.fixture
def rows(in_repository):
    return load_registry([REGISTRY])


def test_every_url_can_be_used(rows):
    for row in rows.values():
        if is_store(row.url):
            assert parse_store(row.url).release or not parse_store(row.url).remote
        elif not row.simulated:
            assert sources(row, REGISTRY)


def test_every_stated_tissue_is_a_term(rows):
    assert [p for row in rows.values() for p in tissue_problems(row, REGISTRY)] == []


def test_status_is_honest(rows):
    """Nothing was fetched by this project, so no row may look as if it had been."""
    for row in rows.values():
        status = checksum_status(row, REGISTRY)
        if row.sha256:
            assert status == "checksum pinned"
        elif not row.simulated and not is_store(row.url):
            assert status == "checksum unknown until first fetch"
            assert row.note.startswith("unverified")
        assert "safe" not in row.note


def test_every_dataset_stands_once(rows):
    ids = [dataset_ids(row.url) for row in rows.values() if dataset_ids(row.url)]
    assert len(ids) == len(set(ids)) >= 30


@pytest.mark.parametrize("name", sorted(ROLES))
def test_indications_name_patients_and_many_organs(in_repository, name):
    run = load_run({"indications": [name]})
    indication = run.indications[name]
    assert indication.disease.id == ROLES[name]
    healthy = [run.registry[a] for a in indication.healthy.atlases]
    tissues = {s.tissue_id for row in healthy for s in statements(row)}
    assert len(tissues) >= 25
    assert {"UBERON:0002371", "UBERON:0000948", "UBERON:0002097"} <= tissues
    assert all(run.registry[a].kind in ("tumour", "mixed") for a in indication.diseased.atlases)


def test_parts_of_tabula_sapiens_are_those_of_the_whole(rows):
    whole = {s.tissue_id for s in statements(rows["tabula_sapiens"])}
    parts = [r for n, r in rows.items() if re.match("tabula_sapiens_", n)]
    assert {s.tissue_id for row in parts for s in statements(row)} == whole
