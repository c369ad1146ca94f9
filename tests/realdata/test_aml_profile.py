"""The profile of real patients' cells against a plain computation from GEO's own files."""

import numpy as np
import pandas as pd
import pytest

from targetscore.contracts import CELLS, EXPRESSION, GENES, GROUPS
from targetscore.io import read_table

pytestmark = [pytest.mark.realdata, pytest.mark.workflow, pytest.mark.xdist_group("realdata")]

ANTIGENS = {"CD33": "ENSG00000105383", "CD38": "ENSG00000004468", "CLEC12A": "ENSG00000172322"}


@pytest.fixture(scope="module")
def profile(real_run) -> dict[str, pd.DataFrame]:
    folder = real_run[0] / "results"
    return {
        "cells": read_table(folder / "ingest/aml_van_galen/cells.parquet", CELLS),
        "genes": read_table(folder / "ingest/aml_van_galen/genes.parquet", GENES),
        "groups": read_table(folder / "profile/aml_van_galen/groups.parquet", GROUPS),
        "expression": read_table(folder / "profile/aml_van_galen/expression.parquet", EXPRESSION),
    }


def test_total_counts_are_those_geo_states(aml_cells):
    assert aml_cells["total"].tolist() == aml_cells["TranscriptomeUMIs"].astype(int).tolist()


def test_cells_kept_and_rejected(aml_cells, profile):
    unclear = aml_cells["PredictionRefined"] == "unclear"
    assert len(profile["cells"]) == (~unclear).sum() == 8220
    diseased = profile["cells"]["population"] == "diseased"
    assert set(profile["cells"].loc[diseased, "cell"]) == set(
        aml_cells.loc[aml_cells["PredictionRefined"] == "malignant", "cell"]
    )
    healthy = profile["cells"].loc[profile["cells"]["population"] == "healthy", "donor"]
    assert set(healthy) == {"BM1", "BM2", "BM3"}


def test_three_antigens_in_all_groups_exactly(aml_cells, profile):
    kept = aml_cells.merge(profile["cells"], on="cell", suffixes=("_raw", ""))
    key = ["population", "cell_type_id", "donor", "sample"]
    groups = profile["groups"]
    assert groups["n_cells"].sum() == len(kept)
    by_group = kept.groupby(key, observed=True)
    totals = groups.groupby(key, observed=True)[["n_cells", "total_counts", "library_counts"]].sum()
    assert totals["total_counts"].to_dict() == by_group["total"].sum().to_dict()
    assert totals["library_counts"].to_dict() == by_group["library"].sum().to_dict()
    for symbol, gene_id in ANTIGENS.items():
        rows = profile["expression"][profile["expression"]["gene_id"] == gene_id]
        found = rows.merge(groups, on="group_id").groupby(key, observed=True).sum(numeric_only=True)
        x, s = kept[symbol].to_numpy(), kept["library"].to_numpy()
        thinned = np.where(s > 2000, 1 - (1 - 2000 / np.maximum(s, 2001)) ** x, x > 0)
        logs = np.log1p(x * 1e4 / s)
        cells = kept[key].assign(
            n_detected=(x > 0).astype(int),
            sum_counts=x,
            thinned_detected=thinned,
            sum_log1p_cp10k=logs,
            sumsq_log1p_cp10k=logs**2,
        )
        sums = cells.groupby(key, observed=True).sum()
        sums = sums[sums["sum_counts"] > 0]
        assert set(found.index) == set(sums.index), symbol
        sums = sums.loc[found.index]
        for column in ("n_detected", "sum_counts"):
            assert found[column].tolist() == sums[column].tolist(), (symbol, column)
        for column in ("thinned_detected", "sum_log1p_cp10k", "sumsq_log1p_cp10k"):
            # fixed point: each cell is off by at most half of 2^-24
            allowed = found["n_cells"] / 2**25 + 1e-9
            assert (np.abs(found[column] - sums[column]) <= allowed).all(), (symbol, column)


def test_panel_genes_are_measured_and_identified(profile):
    genes = profile["genes"].set_index("symbol")
    assert genes.loc["TNFRSF17", "gene_id"] == "ENSG00000048462"
    assert {"CD33", "IL3RA", "GPRC5D", "SDC1", "SLAMF7"} <= set(genes.index)
    assert not genes.loc["IGHMBP2", "masked"]
