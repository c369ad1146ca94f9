"""Aggregated references: levels per tissue or cell type that a publisher computed from its cells.

They hold no cells: no fraction expressing, and donors only as their publisher states them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaincinv

from targetscore.config import AtlasRow
from targetscore.contracts_levels import PROTEIN_LEVELS, REFERENCE_LEVELS
from targetscore.errors import AtlasError, listed, plain
from targetscore.genes import GeneTable, repeated_symbols
from targetscore.ingest.level_labels import Label, read_label_map
from targetscore.ingest.level_tables import LevelTable, read_levels

__all__ = ["Referenced", "ingest_reference"]

_TAIL = 0.025


@dataclass(frozen=True)
class Referenced:
    """An aggregated reference.

    Attributes
    ----------
    levels
        Table of the contract ``ingest/levels``.
    summary
        What was found, as the report shows it: genes by resolution, labels used, not used and
        unmapped, values not understood.
    """

    levels: pd.DataFrame
    summary: dict[str, Any]


def ingest_reference(row: AtlasRow, location: str, genes: GeneTable, registry: str) -> Referenced:
    """Read the levels of a reference and say which gene, tissue and cell type each is about.

    Parameters
    ----------
    row
        Registry row; its ``unit`` says what the values are.
    location
        File of the reference, or a folder that holds one file.
    genes
        Names of genes.
    registry
        Registry file, for messages.

    Raises
    ------
    AtlasError
        If the table cannot be read, a column is missing, a value is no level, or no label is
        mapped.
    """
    table = read_levels(row, location, registry)
    known = genes.identify(table.gene_ids, table.gene_symbols)
    mapped = read_label_map(row, registry)
    labels = [mapped.label(tissue, cell_type) for tissue, cell_type in table.labels]
    use = np.array([label is not None and label.used for label in labels], dtype=bool)
    if not use.any():
        names = [_written(*parts) for parts in table.labels]
        raise AtlasError.one(
            location,
            "labels",
            f"none of {len(names):,} labels is mapped to a tissue or cell type: {listed(names)}",
            f"give them lines in the label_map of '{row.atlas}'",
        )
    levels, refused = _levels(row, table, known, labels, use)
    if levels.empty:
        wrong = "holds no level that can be used"
        remedy = "look at the unit and the columns of this row in the registry"
        raise AtlasError.one(location, "", wrong, remedy)
    return Referenced(levels, _summary(row, table, known, labels, levels, refused))


def _levels(
    row: AtlasRow,
    table: LevelTable,
    known: pd.DataFrame,
    labels: list[Label | None],
    use: NDArray[np.bool_],
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return contract ``ingest/levels``, and values that are no level, counted by their text."""
    gene_ids, gene_of = np.unique(known["gene_id"].to_numpy(object), return_inverse=True)
    kept = use[table.label]
    gene, label = gene_of[table.gene[kept]], table.label[kept]
    place = gene.astype(np.int64) * len(labels) + label
    if row.unit == "protein":
        frame, refused = _protein(table, kept, place)
    else:
        frame, refused = _rna(row, table, kept, place, known["masked"].to_numpy(bool)), {}
    keys = frame.pop("place").to_numpy(np.int64)
    names = [_written(*parts) for parts in table.labels]
    about: list[Label] = [label or Label() for label in labels]
    frame["gene_id"] = _coded(gene_ids.tolist(), keys // len(labels))
    number = keys % len(labels)
    said: list[tuple[str, Sequence[str | None]]] = [
        ("label", names),
        ("scope", [a.scope for a in about]),
        ("tissue_id", [a.tissue_id for a in about]),
        ("tissue", [a.tissue for a in about]),
        ("cell_type_id", [a.cell_type_id for a in about]),
        ("cell_type", [a.cell_type for a in about]),
        ("tier_label", [a.tier_label for a in about]),
    ]
    for column, values in said:
        frame[column] = _coded(values, number)
    frame["unit"] = _same(row.unit, len(frame))
    donors = int(row.n_donors) if row.n_donors else pd.NA
    frame["n_donors"] = pd.Series(donors, index=frame.index, dtype="Int64")
    frame = frame[REFERENCE_LEVELS.names].sort_values(["gene_id", "label"], kind="stable")
    return frame.reset_index(drop=True), refused


def _same(value: str | None, n: int) -> pd.Categorical:
    """Return one text, or nothing, ``n`` times."""
    return _coded([value], np.zeros(n, dtype=np.int64))


def _coded(values: Sequence[str | None], codes: NDArray[np.int64]) -> pd.Categorical:
    """Return text by number; None becomes missing."""
    words = sorted({v for v in values if v is not None})
    number = {word: i for i, word in enumerate(words)}
    place = np.array([-1 if v is None else number[v] for v in values], dtype=np.int64)
    return pd.Categorical.from_codes(place[codes], pd.Index(words, dtype=object))


def _rna(
    row: AtlasRow,
    table: LevelTable,
    kept: NDArray[np.bool_],
    place: NDArray[np.int64],
    masked: NDArray[np.bool_],
) -> pd.DataFrame:
    """Return one level per gene and label; rows of one gene are summed (C0).

    Counts become counts per million of the label's library, without masked genes (C0), with
    the exact lower 95 % Poisson bound: one transcript among few is no level.
    """
    values = table.number[kept]
    places, inverse = np.unique(place, return_inverse=True)
    total = np.bincount(inverse, values, minlength=len(places)).astype(np.float64)
    lower = total.copy()
    if row.unit == "counts":
        n_labels = len(table.labels)
        own = ~masked[table.gene]
        library = np.bincount(table.label[own], table.number[own], minlength=n_labels)
        size = library[places % n_labels]
        per_million = np.divide(1e6, size, out=np.zeros(len(size)), where=size > 0)
        known = size > 0
        lower = _poisson_lower(total) * per_million
        total = total * per_million
        places, total, lower = places[known], total[known], lower[known]
    return pd.DataFrame(
        {
            "place": places,
            "measure": _same("rna", len(places)),
            "level": total,
            "level_lower": lower,
            "protein_level": _same(None, len(places)),
            "reliability": _same(None, len(places)),
        }
    )


def _poisson_lower(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the exact lower 2.5 % bound of a Poisson mean (Garwood 1936); 0 for no count."""
    return np.where(counts > 0, gammaincinv(np.maximum(counts, 1e-9), _TAIL), 0.0)


def _protein(
    table: LevelTable, kept: NDArray[np.bool_], place: NDArray[np.int64]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return one protein level per gene and label, the highest where several are given."""
    texts = np.asarray(table.text, dtype=object)[table.text_code[kept]]
    folded = pd.Series(texts).str.strip().str.casefold().str.replace(" ", "_")
    ranks = {name: i for i, name in enumerate(PROTEIN_LEVELS)}
    height = folded.map(ranks)
    odd = height.isna().to_numpy()
    refused = dict(sorted(Counter(map(plain, texts[odd])).items()))
    reliability = np.asarray(table.reliability, dtype=object)[table.reliability_code[kept]]
    frame = pd.DataFrame({"place": place, "height": height, "reliability": reliability})[~odd]
    frame = frame.sort_values(["place", "height", "reliability"], kind="stable")
    frame = frame.drop_duplicates("place", keep="last")
    height_codes = frame["height"].to_numpy(np.int64)
    certain = frame["reliability"].str.strip().str.casefold().replace("", None)
    n = len(frame)
    return (
        pd.DataFrame(
            {
                "place": frame["place"].to_numpy(),
                "measure": _same("protein", n),
                "level": np.full(n, np.nan),
                "level_lower": np.full(n, np.nan),
                "protein_level": _coded(list(PROTEIN_LEVELS), height_codes),
                "reliability": pd.Categorical(certain.to_numpy(object)),
            }
        ),
        refused,
    )


def _written(tissue: str, cell_type: str) -> str:
    """Return a label as the publisher writes it; both parts if there are two."""
    return f"{tissue} / {cell_type}" if tissue and cell_type else tissue or cell_type


def _summary(
    row: AtlasRow,
    table: LevelTable,
    known: pd.DataFrame,
    labels: list[Label | None],
    levels: pd.DataFrame,
    refused: dict[str, int],
) -> dict[str, Any]:
    names = [_written(*parts) for parts in table.labels]
    pairs = list(zip(names, labels, strict=True))
    return {
        **{k: getattr(row, k) for k in ("atlas", "kind", "version", "url", "licence", "doi")},
        "note": row.note,
        "unit": row.unit,
        "n_donors": int(row.n_donors) if row.n_donors else None,
        "n_genes": int(levels["gene_id"].nunique()),
        "genes_by_resolution": dict(sorted(Counter(map(str, known["resolution"])).items())),
        "repeated_symbols": repeated_symbols(known),
        "n_levels": len(levels),
        "n_labels": len(labels),
        "n_labels_used": sum(label is not None and label.used for label in labels),
        "labels_not_used": {
            name: label.note
            for name, label in sorted(pairs, key=lambda p: p[0])
            if label is not None and not label.used
        },
        "unmapped_labels": sorted(name for name, label in pairs if label is None),
        "values_not_understood": refused,
    }
