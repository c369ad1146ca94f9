"""The invented truth and the genes of the myeloma world, read from the tables beside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FAMILIES = ("pattern", "immunoglobulin", "ubiquitous", "mitochondrial", "ribosomal")
LIGHT_CHAINS = ("IGKC", "IGLC2", "IGLC3")
HEAVY_CHAINS = ("IGHG1", "IGHG2", "IGHA1", "IGHM")
PER_10K = 1e-4


@lru_cache
def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(__file__).with_name(f"myeloma_{name}.tsv"), sep="\t", comment="#")


def truth() -> pd.DataFrame:
    """Return the truth of the myeloma world before donors differ. Invented, not data.

    Returns
    -------
    pandas.DataFrame
        One row per kind of cell and gene. ``section`` (``antigen``: every kind of cell has
        a row; ``lineage``: a kind without a row does not express the gene), ``label``,
        ``symbol``, ``fraction_expressing`` (0–1), ``mean_umi_per_10k`` (UMI in expressing
        cells per 10,000 UMIs that are not immunoglobulin, mitochondrial or ribosomal), and
        of the kind of cell ``malignancy``, ``compartment``, ``cell_type_id``,
        ``cell_type``, ``tissue_id``, ``tissue``.
    """
    who = ["label", "malignancy", "compartment", "cell_type_id", "cell_type"]
    kinds = _table("cells")[[*who, "tissue_id", "tissue"]]
    return _table("truth").merge(kinds, on="label", how="left", validate="many_to_one")


def cell_kinds() -> pd.DataFrame:
    """Return the kinds of cells, one row each: labels, ids, numbers of cells, UMI shares."""
    return _table("cells").copy()


@dataclass(frozen=True)
class Genes:
    """The genes of a world in matrix order, families one after the other, fillers last.

    Attributes
    ----------
    table
        ``symbol``, ``ensembl_gene_id``, ``family``, ``level`` of the named genes.
    symbols, ids
        Of all genes, each ``(n_genes,)``.
    """

    table: pd.DataFrame
    symbols: list[str]
    ids: list[str]

    def family(self, name: str) -> slice:
        """Return the columns of a family."""
        first = int((self.table["family"].map(FAMILIES.index) < FAMILIES.index(name)).sum())
        return slice(first, first + int((self.table["family"] == name).sum()))

    @property
    def fillers(self) -> slice:
        """The columns of the genes that stand for the rest of the genome."""
        return slice(len(self.table), len(self.symbols))


def genes(n_genes: int) -> Genes:
    """Return ``n_genes`` genes: the named ones, then fillers that do not exist."""
    order = _table("genes")["family"].map(FAMILIES.index)
    named = _table("genes").loc[order.sort_values(kind="stable").index].reset_index(drop=True)
    numbers = range(1, n_genes - len(named) + 1)
    symbols = [*named["symbol"], *(f"SIMULATED{k:04d}" for k in numbers)]
    ids = [*named["ensembl_gene_id"], *(f"ENSG99999{k:06d}" for k in numbers)]
    return Genes(named, symbols, ids)


def patterns() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return fraction expressing and mean UMI per UMI, each ``(n_kinds, n_pattern_genes)``."""
    labels = list(_table("cells")["label"])
    symbols = list(_table("genes").query("family == 'pattern'")["symbol"])
    rows = _table("truth")

    def grid(column: str) -> NDArray[np.float64]:
        wide = rows.pivot(index="label", columns="symbol", values=column)
        return wide.reindex(index=labels, columns=symbols).fillna(0.0).to_numpy(np.float64)

    return grid("fraction_expressing"), grid("mean_umi_per_10k") * PER_10K
