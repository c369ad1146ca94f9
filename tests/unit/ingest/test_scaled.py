"""Whole numbers that were scaled are refused; shallow droplets are not taken for them."""

import numpy as np
import scipy.sparse as sp

from targetscore.ingest.scaled import scaled


def said(matrix):
    values = sp.csr_matrix(matrix)
    return scaled(values.data.astype(float), values.indptr)


def counts(mean: float, n_cells: int = 100, n_genes: int = 300):
    rng = np.random.default_rng(1)
    return rng.poisson(mean * rng.gamma(0.3, 3.0, n_genes), (n_cells, n_genes))


def test_counts_pass_at_any_depth():
    for mean in (0.001, 0.01, 0.1, 1, 10):
        assert said(counts(mean)) is None


def test_droplets_that_all_hold_one_molecule_were_not_scaled():
    assert said(np.eye(100, 300)) is None


def test_scaled_numbers_are_refused():
    deep = counts(1.0)
    assert "multiples of 7" in said(deep * 7)
    assert "nearly the same sum" in said(np.rint(1e4 * deep / deep.sum(1, keepdims=True)))
    assert "nearly the same sum" in said(np.eye(100, 300) * 50)
