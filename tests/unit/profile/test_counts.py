"""Counts that are easily lost: large, repeated, unsorted, empty, or no counts at all."""

import numpy as np
import pytest
import scipy.sparse as sp

from targetscore.errors import MatrixError
from targetscore.profile import packing


def two_cells(kit):
    return kit.cell_table(2, np.random.default_rng(0)).assign(donor="D", cell_type_id="T cell")


def one_group(kit, matrix, genes, folder, **kwargs):
    n = matrix.shape[0]
    cells = kit.cell_table(n, np.random.default_rng(0)).assign(
        donor="D", cell_type_id="T cell", cell_type="T cell"
    )
    return kit.tables(cells, genes, kit.memory_atlas(matrix, **kwargs), folder)


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint32])
def test_explicit_zeros_and_counts_beyond_31_bits(kit, dtype, tmp_path):
    data = np.array([0, 2**31 + 5], dtype=dtype)
    matrix = sp.csr_matrix((data, [0, 1], [0, 1, 2]), shape=(2, 2))
    groups, expression = one_group(kit, matrix, kit.gene_table(["A", "B"]), tmp_path)
    assert expression["gene_id"].astype(str).tolist() == ["B"]
    assert expression["sum_counts"].tolist() == [2**31 + 5]
    assert groups["total_counts"].sum() == 2**31 + 5


@pytest.mark.parametrize("count", [254, 255, 256, 65_535, 65_536, 2**24 + 2])
@pytest.mark.parametrize("known", [True, False])
def test_counts_that_a_byte_cannot_hold(kit, count, known, tmp_path):
    dense = np.array([[count, 1, 0], [3, 0, count], [0, 0, 0], [count, count, 7]])
    matrix = sp.csr_matrix(dense.astype(np.float32))
    genes = kit.gene_table(["A", "B", "C"])
    _, expression = one_group(kit, matrix, genes, tmp_path, rows=3, lengths_known=known)
    assert expression["sum_counts"].tolist() == dense.sum(axis=0).tolist()
    assert expression["n_detected"].tolist() == (dense > 0).sum(axis=0).tolist()
    logs = np.log1p(dense * 1e4 / np.maximum(dense.sum(axis=1, keepdims=True), 1)).sum(axis=0)
    np.testing.assert_allclose(expression["sum_log1p_cp10k"], logs, rtol=1e-6)


def test_more_large_counts_than_room_was_made_for(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_OVERFLOW", 2)
    dense = np.random.default_rng(1).integers(200, 400, (20, 30))
    genes = kit.gene_table([f"G{i:02d}" for i in range(30)])
    _, expression = one_group(kit, sp.csr_matrix(dense), genes, tmp_path)
    assert expression["sum_counts"].tolist() == dense.sum(axis=0).tolist()


def test_totals_beyond_31_bits(kit, tmp_path):
    dense = np.full((5, 2), 2**30)
    groups, expression = one_group(kit, sp.csr_matrix(dense), kit.gene_table(["A", "B"]), tmp_path)
    assert expression["sum_counts"].tolist() == [5 * 2**30] * 2
    assert groups["total_counts"].tolist() == [10 * 2**30]


def test_sums_that_would_not_fit_are_refused(kit, tmp_path):
    dense = np.full((4096, 2), 2**52)
    with pytest.raises(MatrixError, match="too many to be added up exactly"):
        one_group(kit, sp.csr_matrix(dense), kit.gene_table(["A", "B"]), tmp_path)


def test_more_genes_than_16_bits_number(kit, tmp_path):
    n = 70_000
    matrix = sp.random(30, n, 0.01, "csr", np.float32, np.random.default_rng(3))
    matrix.data = np.ceil(matrix.data * 300)
    genes = kit.gene_table([f"G{i:05d}" for i in range(n)])
    _, expression = one_group(kit, matrix, genes, tmp_path, rows=11)
    expected = np.asarray(matrix.sum(axis=0)).ravel()
    found = np.zeros(n)
    found[expression["gene_id"].str[1:].astype(int)] = expression["sum_counts"]
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("known", [True, False])
def test_repeated_and_unsorted_columns_count_once_per_cell(kit, known, tmp_path):
    """As scipy reads it: entries of one place add up, and the cell is detected once."""
    indices = np.array([2, 0, 2, 1, 1, 1, 0, 2])
    data = np.array([1, 4, 2, 200, 100, 3, 0, 5])
    matrix = sp.csr_matrix((data, indices, [0, 3, 6, 8]), shape=(3, 3))
    genes = kit.gene_table(["A", "B", "C"])
    _, expression = one_group(kit, matrix, genes, tmp_path, lengths_known=known)
    assert dict(zip(expression["gene_id"], expression["sum_counts"], strict=True)) == {
        "A": 4,
        "B": 303,
        "C": 8,
    }
    assert expression["n_detected"].tolist() == [1, 1, 2]
    assert not matrix.has_canonical_format


def test_two_columns_of_a_gene_are_one_gene(kit, tmp_path):
    dense = np.array([[200, 100, 1], [0, 2, 0]])
    _, expression = one_group(kit, sp.csr_matrix(dense), kit.gene_table(["A", "A", "B"]), tmp_path)
    assert expression["sum_counts"].tolist() == [302, 1]
    assert expression["n_detected"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("value", "says"),
    [(0.5, "not whole"), (-1.0, "negative"), (np.nan, "not finite"), (np.inf, "not finite")],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("repeated", [False, True])
def test_what_is_no_count_is_refused(kit, value, says, dtype, repeated, tmp_path):
    indices = [1, 1] if repeated else [0, 1]
    matrix = sp.csr_matrix((np.array([3, value], dtype), indices, [0, 2]), shape=(1, 2))
    with pytest.raises(MatrixError, match=says):
        one_group(kit, matrix, kit.gene_table(["A", "B"]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_column_out_of_range_is_refused(kit, tmp_path):
    atlas = kit.memory_atlas(sp.csr_matrix(np.eye(2, dtype=np.int64)))
    block = next(atlas.rows(0, 2))
    block.load()[0][1] = 2
    with pytest.raises(MatrixError, match="out of range"):
        kit.tables(two_cells(kit), kit.gene_table(["A", "B"]), atlas, tmp_path)


def test_a_cell_without_counts_and_one_cell(kit, tmp_path):
    empty = sp.csr_matrix((1, 2), dtype=np.int64)
    groups, expression = one_group(kit, empty, kit.gene_table(["A", "B"]), tmp_path / "a")
    assert groups["n_empty_libraries"].tolist() == [1]
    assert expression.empty
    single = sp.csr_matrix(np.array([[0, 9]]))
    _, expression = one_group(kit, single, kit.gene_table(["A", "B"]), tmp_path / "b")
    assert expression["sum_counts"].tolist() == [9]
