"""Every broken input ends in a named error, or in tables that are right or say what is missing."""

import warnings

import pytest

from hostile.cases import CASES, PLACES
from targetscore import contracts
from targetscore.config import Ingesting
from targetscore.errors import TargetscoreError
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas
from targetscore.ingest.contamination import load_programmes
from targetscore.ingest.samples import TABLES, assess_samples

KNOWLEDGE = "config/knowledge"


@pytest.fixture
def ingest(atlas_row, in_repository, tmp_path):
    """Read an input to its last cell, as the workflow does."""
    table = load_genes(KNOWLEDGE)

    def run(fields):
        given = {"malignancy": "malignancy", "lineage": "plasma cell"} | (fields or {})
        row = atlas_row(**given)
        place = str(tmp_path / PLACES[row.format])
        made = ingest_atlas(row, place, table, "atlases.tsv")
        found = assess_samples(
            row,
            place,
            "atlases.tsv",
            made.cells,
            made.genes,
            Ingesting(doublets=False),
            load_programmes(KNOWLEDGE, table),
        )
        for name, of in (("cells", made), ("rejected", made), ("genes", made)):
            getattr(contracts, name.upper()).check(getattr(of, name), name)
        for name in TABLES:
            getattr(contracts, name.upper()).check(getattr(found, name), name)
        return made, found

    return run


def test_there_are_enough_of_them_and_each_has_its_name():
    assert len(CASES) >= 134
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_input(case, ingest, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata warns about what is broken on purpose
        fields = case.make(tmp_path)
        if callable(case.expected):
            case.expected(*ingest(fields))
            return
        with pytest.raises(TargetscoreError) as caught:
            ingest(fields)
    message = str(caught.value)
    assert case.expected in message
    assert all(
        problem.file and problem.wrong and problem.remedy for problem in caught.value.problems
    )
    assert all(line.isprintable() for line in message.splitlines())
    assert len(message) < 3000
