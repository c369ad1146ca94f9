"""How matrix columns become genes, and a digest of what a pack was made with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.profile.groups import GROUP_KEY

__all__ = ["Layout", "layout_of"]


@dataclass(frozen=True)
class Layout:
    """How matrix columns become genes; two columns of a gene are one gene (C0).

    Attributes
    ----------
    gene_ids
        Distinct gene ids, sorted, shape ``(n_genes,)``.
    gene_of_column
        Position in ``gene_ids`` of each gene of the matrix, in matrix order.
    masked
        Whether a gene is left out of the library size, shape ``(n_genes,)``.
    """

    gene_ids: NDArray[np.object_]
    gene_of_column: NDArray[np.int32]
    masked: NDArray[np.bool_]

    def digest(self, groups: pd.DataFrame) -> str:
        """Return a digest of genes and groups: packs that differ in it do not add up."""
        hasher = hashlib.sha256(groups[list(GROUP_KEY)].to_csv().encode())
        hasher.update("\n".join(map(str, self.gene_ids)).encode())
        hasher.update(self.masked.tobytes())
        return hasher.hexdigest()[:16]


def layout_of(genes: pd.DataFrame) -> Layout:
    """Return the layout of a gene table (contract ``ingest/genes``)."""
    codes, gene_ids = pd.factorize(genes["gene_id"].astype("object"), sort=True)
    masked = np.zeros(len(gene_ids), dtype=bool)
    np.logical_or.at(masked, codes, genes["masked"].to_numpy(dtype=bool))
    return Layout(np.asarray(gene_ids, dtype=object), codes.astype(np.int32), masked)
