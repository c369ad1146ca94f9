"""Every broken input of the ingest tests ends in a named error, or in a row that reads back."""

import sys
import warnings
from importlib import util
from pathlib import Path

import pytest

from targetscore.config import load_registry
from targetscore.errors import TargetscoreError
from targetscore.propose.row import SETTABLE

_FILE = Path(__file__).parents[1] / "ingest" / "hostile.py"
_SPEC = util.spec_from_file_location("hostile_files", _FILE)
hostile = util.module_from_spec(_SPEC)
sys.modules["hostile_files"] = hostile
_SPEC.loader.exec_module(hostile)

PLACES = {"h5ad": "a.h5ad", "tenx_h5": "a.h5", "tenx_mtx": "mtx", "geo_text": "geo"}


@pytest.mark.parametrize("case", hostile.CASES, ids=lambda case: case.name)
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
