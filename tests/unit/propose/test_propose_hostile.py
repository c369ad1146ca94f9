"""Every broken input of the ingest tests ends in a named error, or in a row that reads back."""

import warnings

import pytest

from hostile.cases import CASES, PLACES
from targetscore.config import load_registry
from targetscore.errors import TargetscoreError
from targetscore.propose.row import SETTABLE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_broken_files_never_end_in_a_traceback(case, bring, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata warns about what is broken on purpose
        fields = {"lineage": "plasma cell"} | (case.make(tmp_path) or {})
        place = tmp_path / PLACES[fields.get("format", "h5ad")]
        given = [f"{k}={v}" for k, v in fields.items() if k in SETTABLE and v]
        problems = []
        try:
            shown = bring(place, *given).text
        except TargetscoreError as error:
            shown, problems = str(error), error.problems
    assert problems or load_registry(["config/atlases.tsv"])["mine"].lineage
    assert all(p.file and p.wrong and p.remedy for p in problems)
    assert all(line.isprintable() for line in shown.splitlines())
