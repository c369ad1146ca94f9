"""CD19 by RNA beside CD19 by antibody, in the same cells of a lymphoma (CITE-seq).

The program reads no protein; the comparison says how far a coverage from RNA can be trusted.
Cells are labelled by CD3, CD14 and CD56 only, so CD19 is free to be missing from a "B cell".
"""

import gzip
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from targetscore.contracts import COVERAGE
from targetscore.io import read_table

pytestmark = [pytest.mark.realdata, pytest.mark.workflow, pytest.mark.xdist_group("realdata")]


class Beside(NamedTuple):
    """Shares of the same cells, 0–1."""

    rna: float
    protein: float
    rna_among_positive: float
    rna_among_negative: float


def rna_beside_protein(rna: np.ndarray, protein: np.ndarray, threshold: float) -> Beside:
    """Compare who shows a count of RNA with who carries the protein, cell by cell.

    Parameters
    ----------
    rna, protein
        Counts of the same cells, shape ``(n_cells,)``.
    threshold
        Antibody counts above which a cell carries the protein.
    """
    seen, carries = rna > 0, protein > threshold
    return Beside(seen.mean(), carries.mean(), seen[carries].mean(), seen[~carries].mean())


@pytest.fixture(scope="module")
def cells(realdata, real_run, is_left_out) -> pd.DataFrame:
    """One row per cell, from the publisher's text: RNA of CD19, library, antibodies, label."""
    folder = realdata / "malt_lymphoma"
    with gzip.open(folder / "features.tsv.gz", "rt") as stream:
        genes = [line.split("\t")[0] for line in stream]
    with gzip.open(folder / "barcodes.tsv.gz", "rt") as stream:
        barcodes = stream.read().split()
    assert genes.count("CD19") == 1
    left_out = {gene for gene in genes if is_left_out(gene)}
    library, cd19, total, mito, n_genes = np.zeros((5, len(barcodes)), np.int64)
    with gzip.open(folder / "matrix.mtx.gz", "rt") as stream:
        lines = (line for line in stream if not line.startswith("%"))
        next(lines)
        for line in lines:
            gene, cell, count = map(int, line.split())
            total[cell - 1] += count
            n_genes[cell - 1] += 1
            mito[cell - 1] += count * genes[gene - 1].startswith("MT-")
            if genes[gene - 1] not in left_out:
                library[cell - 1] += count
            if genes[gene - 1] == "CD19":
                cd19[cell - 1] += count
    adt = pd.read_csv(folder / "adt_counts.csv.gz", index_col=0).loc[barcodes]
    labels = pd.read_csv(real_run[0] / "malt_labels.tsv", sep="\t", index_col="cell").loc[barcodes]
    fails = (total < 500) | (n_genes < 200) | (mito > 0.2 * total)
    return adt.assign(rna=cd19, library=library, label=labels["cell_type"], fails=fails)


@pytest.fixture(scope="module")
def b_cells(cells) -> pd.DataFrame:
    """The B cells that are counted: the default limits of quality leave some out."""
    found = cells[cells["label"] == "B cell"]
    assert 0 < found["fails"].sum() < 0.05 * len(found)
    return found[~found["fails"]]


@pytest.fixture(scope="module")
def covered(real_run) -> pd.Series:
    """The run's row on CD19 in the only patient."""
    path = real_run[0] / "results/score/malt_lymphoma/coverage.parquet"
    table = read_table(path, COVERAGE).astype({"antigen": str})
    (row,) = table[table["antigen"] == "CD19"].to_dict("records")
    return pd.Series(row)


def test_coverage_by_rna_is_that_of_the_raw_matrix(b_cells, covered):
    assert covered["n_cells"] == len(b_cells)
    assert covered["fraction_observed"] == pytest.approx((b_cells["rna"] > 0).mean())
    x, s = b_cells["rna"], b_cells["library"]
    thinned = np.where(s > 2000, 1 - (1 - 2000 / np.maximum(s, 2001)) ** x, x > 0).mean()
    assert covered["fraction_thinned"] == pytest.approx(thinned, abs=1e-6)


@pytest.mark.parametrize("threshold", [50, 100, 200])
def test_nearly_all_carry_the_protein_and_a_third_show_its_rna(cells, threshold):
    """The share by RNA is no estimate of the share by protein: it is a lower bound of it."""
    b_cells = cells[cells["label"] == "B cell"]  # as published, before any limit of quality
    beside = rna_beside_protein(b_cells["rna"].to_numpy(), b_cells["CD19"].to_numpy(), threshold)
    assert beside.protein == pytest.approx(0.985, abs=0.01)
    assert beside.rna == pytest.approx(0.367, abs=0.005)
    assert beside.rna_among_positive == pytest.approx(0.370, abs=0.005)


def test_the_run_says_lower_bound_and_corrects_nothing(b_cells, covered, real_run, explained):
    """A cell that expressed CD19 would hold 0.4 UMI of it: dropout cannot be told from absence."""
    umi = b_cells["rna"].sum() / b_cells["library"].sum() * b_cells["library"].median()
    assert umi < 0.5
    assert not covered["identifiable"]
    assert pd.isna(covered["fraction_corrected"])
    assert covered["fraction"] == covered["fraction_observed"]
    told = explained("CD19", "malt_lymphoma")
    assert "f     ≥ " in told
    assert "1 of 1 patient is a lower bound: dropout not corrected" in told


def test_more_depth_shows_more_of_the_cells_that_carry_the_protein(b_cells):
    carry = b_cells[b_cells["CD19"] > 100]
    depth = [0, 1500, 3000, 6000, np.inf]
    seen = (carry["rna"] > 0).groupby(pd.cut(carry["library"], depth), observed=True)
    assert (seen.size() >= 20).all()
    shares = seen.mean().tolist()
    assert shares == sorted(shares)
    assert shares[0] < 0.3
    assert shares[-1] > 0.8


def test_cells_without_the_protein_rarely_show_its_rna(cells):
    """CD3 cells with CD19 are pairs of cells or bear debris; the others are the control."""
    t_cells = cells[cells["label"] == "T cell"]
    beside = rna_beside_protein(t_cells["rna"].to_numpy(), t_cells["CD19"].to_numpy(), 100)
    assert beside.rna_among_negative < 0.02
    assert beside.rna_among_positive > 0.15
