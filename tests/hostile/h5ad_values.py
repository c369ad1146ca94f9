"""AnnData files with wrong counts or genes."""

import numpy as np
import pandas as pd

from hostile.good import GENES, Case, N, counts, h5ad, kept_all, labels


def same_gene(made, found) -> None:
    kept_all(made, found)
    ids = made.genes["gene_id"].tolist()
    assert ids[0] == ids[1] == "ENSG00000048462"


def alias_is_ambiguous(made, found) -> None:
    kept_all(made, found)
    assert made.genes.loc[1, "resolution"] == "ambiguous"
    assert made.genes["gene_id"].tolist()[:2] == ["ENSG00000048462", "symbol:CD269"]


def one_gene_on_x_and_y(made, found) -> None:
    kept_all(made, found)
    assert made.genes["gene_id"].tolist()[8:10] == ["ENSG00000185291"] * 2


def huge_count(made, found) -> None:
    expected = counts().sum(1)
    expected[0] += 2**31 - counts()[0, 0]
    assert found.quality["n_counts"].tolist() == expected.tolist()


def measured_zero(made, found) -> None:
    assert "TNFRSF17" in set(made.genes["symbol"])
    assert found.quality["n_genes"].tolist() == (counts()[:, 1:] > 0).sum(1).tolist()


def unresolved(made, found) -> None:
    kept_all(made, found)
    assert made.summary["genes_by_resolution"] == {"unresolved": len(GENES)}


def to_cpm(values: np.ndarray) -> np.ndarray:
    return np.rint(1e6 * values / values.sum(1, keepdims=True))


CASES = [
    Case("not a number", h5ad(lambda x: np.where(x == 3, np.nan, x)), "not finite"),
    Case("infinite", h5ad(lambda x: np.where(x == 3, np.inf, x)), "not finite"),
    Case("negative counts", h5ad(lambda x: x - 1), "negative"),
    Case("log-normalised", h5ad(lambda x: np.log1p(x)), "log-normalised"),
    Case("decimals", h5ad(lambda x: x * 1.5), "not whole numbers"),
    Case(
        "one count of 2^31",
        h5ad(lambda x: np.where(np.arange(x.size).reshape(x.shape) == 0, 2**31, x)),
        huge_count,
    ),
    Case(
        "one count of 2^60",
        h5ad(lambda x: np.where(np.arange(x.size).reshape(x.shape) == 0, 2**60, x)),
        "too large",
    ),
    Case("all counts times ten", h5ad(lambda x: x * 10), "multiples of 10"),
    Case("rounded counts per million", h5ad(to_cpm), "nearly the same sum"),
    Case("no count at all", h5ad(lambda x: x * 0), "no_counts"),
    Case(
        "one gene without a count", h5ad(lambda x: x * (np.arange(x.shape[1]) > 0)), measured_zero
    ),
    Case("zero cells", h5ad(lambda x: x[:0], lambda: labels()[:0]), "no cell"),
    Case("zero genes", h5ad(lambda x: x[:, :0], genes=lambda g: []), "holds no gene"),
    Case(
        "cells and genes swapped",
        h5ad(
            lambda x: x.T,
            lambda: pd.DataFrame(index=GENES),
            lambda g: [f"cell{i}" for i in range(N)],
        ),
        "nothing says the donor",
    ),
    Case("mouse genes", h5ad(genes=lambda g: [f"Tnfrsf{i}" for i in range(len(g))]), "not human"),
    Case(
        "genes nobody knows", h5ad(genes=lambda g: [f"XQ{i}Z" for i in range(len(g))]), unresolved
    ),
    Case(
        "one gene in two columns",
        h5ad(genes=lambda g: ["TNFRSF17", "ENSG00000048462.12", *g[2:]]),
        same_gene,
    ),
    Case(
        "an alias beside its gene",
        h5ad(genes=lambda g: ["TNFRSF17", "CD269", *g[2:]]),
        alias_is_ambiguous,
    ),
    Case(
        "one gene on X and Y",
        h5ad(genes=lambda g: [*g[:8], "ENSG00000185291.12", "ENSG00000185291.12_PAR_Y", *g[10:]]),
        one_gene_on_x_and_y,
    ),
    Case("empty gene name", h5ad(genes=lambda g: ["", *g[1:]]), kept_all),
]
