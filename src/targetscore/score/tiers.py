"""Which healthy cells count for which tier row (C4); a coarse group never credits a finer row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from targetscore import ontology
from targetscore.knowledge import Knowledge

UNCLASSIFIED = "unclassified"
UNCLASSIFIED_TIER = 2
_POOR_RNA = ("CL:0000094", "CL:0000232", "CL:0000233")  # granulocyte, erythrocyte, platelet
_FAR = 10_000


@dataclass(frozen=True)
class Tier:
    """Thresholds of one tier: fractions 0–1, CPM, and the weight of its harm."""

    alert_fraction: float
    saturation_fraction: float
    saturation_cpm: float
    weight: float


@dataclass(frozen=True)
class TierRow:
    """One row of the tissue tiers as it applies to an indication.

    Attributes
    ----------
    label
        Name of the row.
    cell_type_id, cell_type, tissue_id, tissue
        Whom it is about; the ids are empty where unknown.
    tissue_required
        Whether only cells of that tissue count.
    tier
        1–4, after stem-cell rescue if that is planned.
    toxicity_class
        Toxicity if these cells are killed.
    by_rna
        Whether RNA can show what these cells carry (not erythrocytes, platelets and, as far
        as atlases go, granulocytes).
    tolerated
        Whether this indication accepts to lose them.
    reported
        Ensembl ids of the antigens strongly reported on these cells.
    """

    label: str
    cell_type_id: str
    cell_type: str
    tissue_id: str
    tissue: str
    tissue_required: bool
    tier: int
    toxicity_class: str
    by_rna: bool
    tolerated: bool
    reported: frozenset[str] = frozenset()


def thresholds(knowledge: Knowledge) -> dict[int, Tier]:
    """Return the thresholds of each tier."""
    return {
        int(t["tier"]): Tier(
            float(t["alert_fraction"]),
            float(t["saturation_fraction"]),
            float(t["saturation_cpm"]),
            float(t["weight"]),
        )
        for t in knowledge.tiers.to_dict("records")
    }


def is_of(cell_type_id: str, lineages: Collection[str]) -> bool:
    """Tell whether a cell type is of some lineages; an unknown one (empty) is of none."""
    return bool(cell_type_id) and ontology.is_a(cell_type_id, lineages)


def tier_rows(
    knowledge: Knowledge, tolerated: Collection[str], hsct_rescue: bool, disease: str = ""
) -> list[TierRow]:
    """Return the tissue tiers as they apply to an indication, in file order.

    Parameters
    ----------
    knowledge
        Curated tables.
    tolerated
        Cell Ontology ids of lineages the indication accepts to lose.
    hsct_rescue
        Whether a stem-cell transplant is planned, so that ``tier_with_rescue`` holds.
    disease
        MONDO id of the indication; ``tier_by_disease`` holds for it and its descendants, the
        strictest one where several do.
    """
    reported = _reported(knowledge)
    rows = []
    for row in knowledge.tissue_tiers.to_dict("records"):
        cell_type_id = row["cell_type_id"]
        rescued = hsct_rescue and pd.notna(row["tier_with_rescue"])
        poor = row["assessable"] == "poorly_captured" and is_of(cell_type_id, _POOR_RNA)
        rows.append(
            TierRow(
                row["label"],
                cell_type_id,
                row["cell_type"],
                row["tissue_id"],
                row["tissue"],
                row["tissue_required"] == "yes",
                int(row["tier_with_rescue"] if rescued else _tier(row, disease)),
                row["toxicity_class"],
                row["assessable"] != "not_by_RNA" and not poor,
                is_of(cell_type_id, tolerated),
                reported.get(row["label"], frozenset()),
            )
        )
    return rows


def _tier(row: Mapping[Any, Any], disease: str) -> int:
    """Return the tier of a row in a disease: ``MONDO:…=2`` where it is about that disease."""
    entries = [entry.partition("=") for entry in row["tier_by_disease"].split("|") if entry]
    here = [int(tier) for mondo, _, tier in entries if disease and is_of(disease, {mondo})]
    return min(here, default=int(row["tier"]))


def _reported(knowledge: Knowledge) -> dict[str, frozenset[str]]:
    """Return the Ensembl ids strongly reported in each tier row."""
    ids = knowledge.genes.set_index("symbol")["ensembl_gene_id"]
    strong = knowledge.healthy_literature
    strong = strong[strong["strength"] == "strong"]
    found: dict[str, set[str]] = {}
    for label, gene_id in zip(strong["tier_label"], strong["symbol"].map(ids), strict=True):
        if pd.notna(gene_id):
            found.setdefault(str(label), set()).add(gene_id)
    return {label: frozenset(genes) for label, genes in found.items()}


def credited_rows(cell_type_id: str, tissue_id: str, rows: list[TierRow]) -> list[TierRow]:
    """Return the tier rows a healthy group counts for, the nearest first.

    A row is credited if its cell type is the group's own or an ancestor of it and, where the
    row requires its tissue, the tissue is the group's own or an ancestor. A row without a
    cell type is matched by tissue and is further away than any row with one.

    Parameters
    ----------
    cell_type_id, tissue_id
        The group: ontology ids, or ``label:<text>``.
    rows
        The tissue tiers.

    Returns
    -------
    list of TierRow
        Ordered by steps between the cell types, then the stricter tier, then steps between
        the tissues. The first decides tier, class and thresholds of the group.
    """
    cells, tissues = ontology.ancestors(cell_type_id), ontology.ancestors(tissue_id)
    found = []
    for row in rows:
        in_tissue = bool(row.tissue_id) and row.tissue_id in tissues
        if row.cell_type_id not in cells and (row.cell_type_id or not in_tissue):
            continue
        if row.tissue_required and not in_tissue:
            continue
        steps = ontology.distance(cell_type_id, row.cell_type_id) if row.cell_type_id else _FAR
        tissue_steps = ontology.distance(tissue_id, row.tissue_id) if in_tissue else _FAR
        found.append(((steps, row.tier, tissue_steps, row.label), row))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]
