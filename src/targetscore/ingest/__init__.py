"""Ingest: decide who is who, and leave the matrix where it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from targetscore import ontology
from targetscore.config import AtlasRow
from targetscore.errors import AtlasError
from targetscore.formats import open_atlas
from targetscore.genes import GeneTable, repeated_symbols
from targetscore.ingest.clones import require_light_chains
from targetscore.ingest.labels import label_cells
from targetscore.ingest.scaled import refuse_scaled
from targetscore.samecells import sketch

__all__ = ["Ingested", "ingest_atlas"]

_MOUSE_LIKE = 0.5
_SEARCHED = 20  # labels that names are looked up for: each takes a tenth of a second


@dataclass(frozen=True)
class Ingested:
    """The cells and genes of an atlas.

    Attributes
    ----------
    cells, rejected, genes
        Tables of the contracts ``ingest/cells``, ``ingest/rejected``, ``ingest/genes``.
    summary
        What was found, as the report shows it.
    """

    cells: pd.DataFrame
    rejected: pd.DataFrame
    genes: pd.DataFrame
    summary: dict[str, Any]


def ingest_atlas(
    row: AtlasRow, location: str, genes: GeneTable, registry: str, *, read_matrix: bool = True
) -> Ingested:
    """Read labels and genes of an atlas and check a sample of its matrix.

    Parameters
    ----------
    row
        Registry row of the atlas.
    location
        File or folder of the atlas.
    genes
        Names of genes.
    registry
        Registry file, for messages.
    read_matrix
        Whether the matrix may be read once through, which calls from light chains need. If
        not, all cells they would be about count as diseased: enough to check an atlas.

    Raises
    ------
    AtlasError
        If labels are missing or contradict each other, or malignancy is to be called from
        light chains that the atlas does not hold.
    MatrixError
        If the matrix does not hold raw counts.
    """
    atlas = open_atlas(row, location)
    table = genes.identify(atlas.gene_ids, atlas.gene_symbols)
    by_chain = row.malignancy == "=light_chain"
    if by_chain and not table.empty:
        require_light_chains(table, row.atlas, location, registry)
    labelled = label_cells(row, atlas, registry, table if by_chain and read_matrix else None)
    atlas.peek()
    if table.empty:
        wrong = f"{atlas.counts} holds no gene"
        remedy = (
            "look at the feature table: it may be of another kind, or its columns may be swapped"
        )
        raise AtlasError.one(location, "genes", wrong, remedy)
    _refuse_mouse(table, location)
    refuse_scaled(atlas)
    notes = [*atlas.notes, *labelled.notes]
    summary = {
        **{k: getattr(row, k) for k in ("atlas", "kind", "version", "url", "licence", "doi")},
        "note": " ".join(filter(None, (row.note, *map(_sentence, notes)))),
        "reading": notes,
        "simulated": row.simulated,
        "counts": atlas.counts,
        "n_cells": len(atlas.cells),
        "n_cells_kept": len(labelled.cells),
        "rejected": _counts(labelled.rejected["reason"]),
        "n_genes": len(table),
        "genes_by_resolution": _counts(table["resolution"]),
        "repeated_symbols": repeated_symbols(table),
        "n_genes_masked": int(table["masked"].sum()),
        "malignancy_method": labelled.malignancy_method,
        "clones": labelled.clones,
        "populations": _populations(labelled.cells),
        "cell_types": _cell_types(labelled.cells),
        "healthy_groups": _healthy_groups(labelled.cells),
        "unmapped_cell_types": _unmapped(labelled.cells, "cell_type", "CL"),
        "unmapped_tissues": _unmapped(labelled.cells, "tissue", "UBERON"),
        "donors_without_diseased_cells": _without_diseased(labelled.cells),
        "cell_sketch": sketch(labelled.cells, atlas.cells),
    }
    return Ingested(labelled.cells, labelled.rejected, table, summary)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _refuse_mouse(genes: pd.DataFrame, location: str) -> None:
    """Human symbols are upper case; an atlas of Title-case symbols is another species."""
    named = genes.loc[genes["resolution"] != "ensembl_id", "original_id"]
    title = named.str.fullmatch(r"[A-Z][a-z]+[a-z0-9]*")
    foreign = genes["original_id"].str.match(r"ENS(?!G\d)[A-Z]+G\d")
    if len(genes) and (title.sum() + foreign.sum()) > _MOUSE_LIKE * len(genes):
        raise AtlasError.one(
            location,
            "genes",
            "most gene names are not human (for example "
            f"{', '.join(genes['original_id'].head(3))})",
            "targetscore reads human atlases; map the genes to human orthologues yourself",
        )


def _counts(values: pd.Series) -> dict[str, int]:
    return dict(sorted(Counter(map(str, values)).items()))


def _populations(cells: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {
        str(name): {"n_cells": len(part), "n_donors": int(part["donor"].nunique())}
        for name, part in cells.groupby("population", sort=True)
    }


def _cell_types(cells: pd.DataFrame) -> list[dict[Any, Any]]:
    key = ["population", "disease", "cell_type_id", "cell_type"]
    counts = cells.groupby(key, sort=True).size().rename("n_cells").reset_index()
    return counts.to_dict("records")


def _healthy_groups(cells: pd.DataFrame) -> list[dict[Any, Any]]:
    key = ["tissue_id", "cell_type_id", "suspension"]
    healthy = cells[cells["population"] == "healthy"]
    counts = healthy.groupby(key, sort=True, observed=True).size().rename("n_cells").reset_index()
    return counts.astype(dict.fromkeys(key, str)).to_dict("records")


def _unmapped(cells: pd.DataFrame, column: str, of: str) -> list[dict[str, Any]]:
    """Return labels without a term, their cells, and names that look alike for the largest."""
    counts = _counts(cells.loc[cells[f"{column}_id"].str.startswith("label:"), column])
    large = set(sorted(counts, key=lambda label: (-counts[label], label))[:_SEARCHED])
    return [
        {"label": name, "n_cells": n, "near": ontology.suggest(name, of) if name in large else []}
        for name, n in counts.items()
    ]


def _without_diseased(cells: pd.DataFrame) -> list[str]:
    patients = set(cells.loc[cells["population"] != "healthy", "donor"])
    return sorted(patients - set(cells.loc[cells["population"] == "diseased", "donor"]))
