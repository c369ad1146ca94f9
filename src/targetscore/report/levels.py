"""Levels of aggregated references, apart from everything that was counted in cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from targetscore.errors import plain
from targetscore.report import text

MAX_COUNTING = 6
MAX_BESIDE = 3


def levels(table: pd.DataFrame, gene_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return what references say of each antigen drawn, those with most to say first.

    Parameters
    ----------
    table
        Contract ``score/levels``.
    gene_ids
        Antigens drawn, in order.

    Returns
    -------
    list of dict
        ``gene_id``; ``rows``: the levels that cost most safety, then those that would cost most
        if they counted; ``n_counting`` and ``n_levels`` of all; ``missing``: references that do not
        hold the gene.
    """
    found = []
    for gene_id in gene_ids:
        own = table[table["gene_id"] == gene_id]
        measured = own[own["verdict"] != "not_measured"]
        order = measured.sort_values(
            ["harm", "reference", "label"], ascending=[False, True, True], na_position="last"
        )
        counting = order["counts"].astype(bool)
        seen = order["verdict"].isin(["concern", "possible"])
        shown = [order[counting].head(MAX_COUNTING), order[~counting & seen].head(MAX_BESIDE)]
        found.append(
            {
                "gene_id": gene_id,
                "rows": [row | {"said": said(row)} for part in shown for row in text.records(part)],
                "n_counting": int(counting.sum()),
                "n_levels": len(measured),
                "missing": sorted(own.loc[own["verdict"] == "not_measured", "reference"]),
            }
        )
    return [entry for entry in found if entry["n_levels"] or entry["missing"]]


def level_costs(table: pd.DataFrame, gene_id: str) -> dict[str, float]:
    """Return the share of safety that levels cost one antigen, by toxicity class; 0–1."""
    own = table[(table["gene_id"] == gene_id) & table["counts"].astype(bool)]
    costs = own.astype({"toxicity_class": "object"}).groupby("toxicity_class", sort=True)["harm"]
    return {str(name): float(cost) for name, cost in costs.max().items()}


def said(row: Mapping[str, Any]) -> str:
    """Return a level in words, for example ``12.3 nTPM, level only, no fraction``."""
    if row["measure"] == "protein":
        level = f"protein {str(row['protein_level']).replace('_', ' ')}"
        level += f" (reliability: {plain(row['reliability'], 60)})" if row["reliability"] else ""
    else:
        unit = "CPM of pooled counts" if row["unit"] == "counts" else str(row["unit"])
        level = f"{text.rounded(float(row['level']), 'amount')} {unit}"
    donors = row["n_donors"]
    known = "donors not stated" if donors is None else f"{text.of_count(donors, 'donor')} as stated"
    return f"{level}, level only, {known}, no fraction"
