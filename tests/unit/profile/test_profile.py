"""Sufficient statistics against a dense brute-force loop, and invariants."""

from itertools import pairwise
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from targetscore.contracts import EXPRESSION, GROUPS
from targetscore.errors import MatrixError
from targetscore.io import write_tables
from targetscore.libraries import bin_centres, library_bins
from targetscore.profile import profile_cells, sums

LABELS = ("tissue_id", "tissue", "cell_type_id", "cell_type", "assay", "suspension", "disease")


def cell_table(n: int, rng: np.random.Generator) -> pd.DataFrame:
    kinds = rng.choice(["plasma cell", "T cell", "B cell"], n)
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "cell": [f"c{i}" for i in range(n)],
            "donor": rng.choice(["D1", "D2"], n),
            "sample": "S",
            "tissue_id": "UBERON:0002371",
            "tissue": "bone marrow",
            "cell_type_id": kinds,
            "cell_type": kinds,
            "assay": "10x",
            "suspension": "cell",
            "disease": "normal",
            "population": "healthy",
            "author_cell_type": kinds,
        }
    )


def gene_table(ids: list[str], masked: list[bool]) -> pd.DataFrame:
    return pd.DataFrame(
        {"column": np.arange(len(ids)), "gene_id": ids, "masked": masked},
    )


def run(cells, genes, blocks, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder.mkdir(parents=True, exist_ok=True)
    profile = profile_cells("tiny", cells, genes, iter(blocks), str(folder))
    expression = pd.concat(list(profile.expression), ignore_index=True)
    return profile.groups, expression


def brute_force(counts, cells, genes) -> pd.DataFrame:
    """The definitions of C0 and C1, cell by cell and gene by gene, without any sharing."""
    names = sorted(set(genes["gene_id"]))
    dense = {g: counts[:, (genes["gene_id"] == g).to_numpy()].sum(axis=1) for g in names}
    masked = {g for g, m in zip(genes["gene_id"], genes["masked"], strict=True) if m}
    rows: dict[tuple, list[float]] = {}
    for i, cell in enumerate(cells.to_dict("records")):
        size = sum(int(dense[g][i]) for g in names if g not in masked)
        for g in names:
            x = int(dense[g][i])
            if x == 0:
                continue
            q = 1 - (1 - 2000 / size) ** x if size > 2000 else 1.0
            log = np.log1p(x * 1e4 / max(size, 1))
            key = (cell["cell_type_id"], cell["donor"], g)
            sums_ = rows.setdefault(key, [0, 0, 0, 0, 0])
            for k, value in enumerate((1, q, x, log, log * log)):
                sums_[k] += value
    columns = ["n_detected", "thinned_detected", "sum_counts"]
    columns += ["sum_log1p_cp10k", "sumsq_log1p_cp10k"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table.index = pd.MultiIndex.from_tuples(table.index, names=["cell_type_id", "donor", "gene_id"])
    return table.sort_index()


def named(groups: pd.DataFrame, expression: pd.DataFrame) -> pd.DataFrame:
    joined = expression.merge(groups[["group_id", "cell_type_id", "donor"]], on="group_id")
    joined["gene_id"] = joined["gene_id"].astype(str)
    keys = ["cell_type_id", "donor", "gene_id"]
    return joined.set_index(keys).drop(columns="group_id").sort_index()


@pytest.fixture
def world():
    rng = np.random.default_rng(5)
    counts = rng.negative_binomial(0.3, 0.02, (60, 9))
    counts[7] = 0
    counts[8, :] = [9000, 0, 0, 0, 0, 0, 0, 0, 0]
    ids = ["G0", "G1", "G2", "G3", "G3", "G5", "G6", "G7", "IG"]
    genes = gene_table(ids, [False] * 8 + [True])
    return counts, cell_table(60, rng), genes


def test_against_brute_force(world, tmp_path):
    counts, cells, genes = world
    groups, expression = run(cells, genes, [(0, sp.csr_matrix(counts))], tmp_path)
    expected = brute_force(counts, cells, genes)
    found = named(groups, expression)
    assert found.index.equals(expected.index)
    for column in ("n_detected", "sum_counts"):
        assert found[column].tolist() == expected[column].tolist()
    for column in ("thinned_detected", "sum_log1p_cp10k", "sumsq_log1p_cp10k"):
        # one cell is off by at most half a unit of 2^-24
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-6, atol=60 / 2**24)


def test_group_totals_and_histogram(world, tmp_path):
    counts, cells, genes = world
    groups, _ = run(cells, genes, [(0, sp.csr_matrix(counts))], tmp_path)
    GROUPS.check(groups, "groups")
    masked = genes["masked"].to_numpy()
    size = counts[:, ~masked].sum(axis=1)
    for group in groups.to_dict("records"):
        own = (
            (cells["donor"] == group["donor"]) & (cells["cell_type_id"] == group["cell_type_id"])
        ).to_numpy()
        assert group["n_cells"] == own.sum()
        assert group["total_counts"] == counts[own].sum()
        assert group["library_counts"] == size[own].sum()
        assert group["n_empty_libraries"] == (size[own] == 0).sum()
        histogram = np.repeat(group["library_bin"], group["library_cells"])
        assert sorted(histogram) == sorted(library_bins(size[own & (size > 0)]))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), cuts=st.sets(st.integers(1, 59), max_size=6))
def test_blocks_do_not_matter(seed, cuts, tmp_path_factory):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.3, 0.02, (60, 9))
    cells, genes = cell_table(60, rng), gene_table([f"G{i}" for i in range(9)], [False] * 9)
    edges = [0, *sorted(cuts), 60]
    folder = tmp_path_factory.mktemp("runs")
    pieces = [(a, sp.csr_matrix(counts[a:b])) for a, b in pairwise(edges)]
    for name, blocks in (("one", [(0, sp.csr_matrix(counts))]), ("many", pieces)):
        (folder / name).mkdir()
        profile = profile_cells("tiny", cells, genes, iter(blocks), str(folder / name))
        write_tables(profile.expression, folder / f"{name}.parquet", EXPRESSION, {})
    assert (folder / "one.parquet").read_bytes() == (folder / "many.parquet").read_bytes()


def test_merging_in_small_steps_changes_nothing(world, tmp_path, monkeypatch):
    counts, cells, genes = world
    blocks = [(a, sp.csr_matrix(counts[a : a + 7])) for a in range(0, 60, 7)]
    _, whole = run(cells, genes, blocks, tmp_path / "a")
    monkeypatch.setattr(sums, "_MERGE_ROWS", 3)
    monkeypatch.setattr(sums, "_OUT_ROWS", 4)
    _, small = run(cells, genes, blocks, tmp_path / "b")
    pd.testing.assert_frame_equal(whole, small)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_order_of_cells_and_genes_does_not_matter(seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.3, 0.02, (40, 9))
    cells, genes = cell_table(40, rng), gene_table([f"G{i}" for i in range(9)], [False] * 9)
    rows, columns = rng.permutation(40), rng.permutation(9)
    shuffled = cells.iloc[rows].reset_index(drop=True).assign(row=np.arange(40))
    moved = genes.iloc[columns].reset_index(drop=True).assign(column=np.arange(9))
    folder = tmp_path_factory.mktemp("runs")
    first = run(cells, genes, [(0, sp.csr_matrix(counts))], folder / "a")
    second = run(shuffled, moved, [(0, sp.csr_matrix(counts[rows][:, columns]))], folder / "b")
    for one, other in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_rejected_rows_do_not_count(world, tmp_path):
    counts, cells, genes = world
    kept = cells[cells["row"] % 3 != 0]
    groups, expression = run(kept, genes, [(0, sp.csr_matrix(counts))], tmp_path)
    expected = brute_force(counts[kept["row"]], kept, genes)
    assert named(groups, expression)["sum_counts"].tolist() == expected["sum_counts"].tolist()


def test_a_changed_file_is_noticed(world, tmp_path):
    counts, cells, genes = world
    with pytest.raises(MatrixError, match="has 50 rows, 60 were ingested"):
        run(cells, genes, [(0, sp.csr_matrix(counts[:50]))], tmp_path)
    with pytest.raises(MatrixError, match="has 8 columns"):
        run(cells, genes, [(0, sp.csr_matrix(counts[:, :8]))], tmp_path)


def test_explicit_zeros_and_large_counts(tmp_path):
    cells = cell_table(2, np.random.default_rng(0)).assign(donor="D", cell_type_id="T cell")
    data = np.array([0, 2**31 + 5], dtype=np.int64)
    block = sp.csr_matrix((data, [0, 1], [0, 1, 2]), shape=(2, 2))
    groups, expression = run(cells, gene_table(["A", "B"], [False] * 2), [(0, block)], tmp_path)
    assert expression["gene_id"].astype(str).tolist() == ["B"]
    assert expression["sum_counts"].tolist() == [2**31 + 5]
    assert groups["total_counts"].sum() == 2**31 + 5


@pytest.mark.parametrize(
    ("x", "s", "q"), [(0, 5000, 0), (1, 8000, 0.25), (3, 4000, 0.875), (2, 1500, 1), (1, 2000, 1)]
)
def test_thinned_detection_by_hand(x, s, q):
    found = sums.thinned_detection(np.array([x]), np.array([s]))
    assert found[0] == pytest.approx(q, abs=1e-12)


@given(size=st.integers(1, 10**7))
def test_histogram_bins_are_narrow(size):
    centre = bin_centres(library_bins(np.array([size])))[0]
    assert abs(np.log2(centre / size)) <= 1 / 16


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(61, 50_000)), min_size=1, max_size=20))
def test_thinning_is_the_chance_that_one_count_survives(cells):
    counts, sizes = np.array(cells).T
    loop = [binom.sf(0, x, min(1.0, 2000 / s)) for x, s in cells]
    np.testing.assert_allclose(sums.thinned_detection(counts, sizes), loop, atol=1e-12)


def test_against_scanpy(world, tmp_path):
    """Counts and detections of scanpy's own aggregation, exactly; log sums to 1e-6."""
    counts, cells, genes = world
    plain = genes.assign(gene_id=[f"G{i}" for i in range(9)], masked=False)
    groups, expression = run(cells, plain, [(0, sp.csr_matrix(counts))], tmp_path)
    data = ad.AnnData(sp.csr_matrix(counts.astype(np.float64)), obs=cells.set_index("cell"))
    data.var_names = plain["gene_id"]
    data.obs["group"] = data.obs["cell_type_id"] + "|" + data.obs["donor"]
    raw = sc.get.aggregate(data, by="group", func=["sum", "count_nonzero"])
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    logs = sc.get.aggregate(data, by="group", func="sum")
    found = named(groups, expression)
    for column, table in (
        ("sum_counts", raw.to_df("sum")),
        ("n_detected", raw.to_df("count_nonzero")),
        ("sum_log1p_cp10k", logs.to_df("sum")),
    ):
        ours = found[column].unstack("gene_id").fillna(0)
        ours.index = ["|".join(key) for key in ours.index]
        np.testing.assert_allclose(
            ours.loc[table.index, table.columns], table, rtol=1e-6, atol=60 / 2**24
        )
