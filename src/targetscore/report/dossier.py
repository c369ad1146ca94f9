"""What the dossier of one antigen shows, in a form a reader can redo."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from targetscore import ontology
from targetscore.contracts import SHEDDING, VERDICTS
from targetscore.report.data import ReportData
from targetscore.report.levels import level_costs
from targetscore.report.text import GAPS, records
from targetscore.report.views import Antigen, Row

if TYPE_CHECKING:
    from targetscore.knowledge import Knowledge

N_WORST = 10
"""Healthy groups listed in a dossier."""
PARTS = (
    ("Healthy tissue", "safety", "safety_score"),
    ("Coverage", "coverage", "coverage_score"),
    ("Specificity", "specificity", "specificity_score"),
    ("Surface", "surface", "surface_confidence"),
    ("Shedding", "shedding", "shedding_score"),
)
"""Parts of the composite: heading, name of the weight, column."""
_SPECIFICITY = (
    (
        "s1",
        "Fold change over the worst tier 1–2 group",
        "log_fold_change",
        "signed",
        "log_fold_change",
        "log_fold_change_group",
        "clip(0.5 + log2 fold change / 6, 0, 1)",
    ),
    (
        "s2",
        "Detection gap",
        "detection_gap",
        "signed",
        "detection_gap",
        None,
        "clip(tumour lower bound − largest healthy upper bound, 0, 1)",
    ),
    (
        "s3",
        "Smallest AUC over donor pairs",
        "auc_min",
        "factor",
        "auc",
        None,
        "clip(2 × (AUC − 0.5), 0, 1)",
    ),
    (
        "s4",
        "Tissue specificity (signed tau)",
        "tau",
        "factor",
        "tau",
        "tau_argmax",
        "tau if the highest level is in the tumour or a tolerated lineage, else 0",
    ),
)
_ITEMS = next(c.values for c in SHEDDING.columns if c.name == "item") or ()


def composite(part: Row, weights: dict[str, float], floor: float) -> dict[str, Any]:
    """Lay out the weighted product of the composite score (specification C7).

    Parameters
    ----------
    part
        Row of the components.
    weights
        Exponent of each part.
    floor
        Smallest value a part enters with.

    Returns
    -------
    dict
        ``rows`` (heading, column, value, used, exponent, factor, and the product before and
        after it), ``product`` (``None`` if a part is missing) and ``agrees``: whether the product
        is the score that was written.
    """
    rows: list[dict[str, Any]] = []
    before: float | None = 1.0
    for heading, name, column in PARTS:
        value = part[column]
        scaled = 1 - value / 200 if name == "shedding" and value is not None else value
        used = None if scaled is None else max(floor, scaled)
        factor = None if used is None else used ** weights[name]
        after = None if before is None or factor is None else before * factor
        rows.append(
            {
                "heading": heading,
                "column": column,
                "value": value,
                "used": used,
                "exponent": weights[name],
                "factor": factor,
                "before": before,
                "after": after,
            }
        )
        before = after
    factors = [r["factor"] for r in rows]
    product = None if None in factors else math.prod(factors)
    written = part["composite_score"]
    agrees = (
        product is not None and written is not None and math.isclose(product, written, rel_tol=1e-6)
    )
    return {"rows": rows, "product": product, "agrees": agrees}


def specificity(part: Row, weights: dict[str, float]) -> list[dict[str, Any]]:
    """Lay out the four parts of specificity with their raw values (specification C2)."""
    return [
        {
            "code": code,
            "heading": heading,
            "raw": part[raw],
            "column": raw,
            "raw_kind": kind,
            "weight": weights[weight],
            "score": part[f"specificity_{code}"],
            "group": part[group] if group else None,
            "group_known": group is not None,
            "formula": formula,
        }
        for code, heading, raw, kind, weight, group, formula in _SPECIFICITY
    ]


def worst_groups(evidence: Sequence[Row]) -> list[Row]:
    """Return the assessed healthy groups of one antigen with the largest harm."""
    assessed = [r for r in evidence if r["verdict"] not in GAPS]
    assessed.sort(
        key=lambda r: (
            -(r["harm"] or 0.0),
            -(r["fraction_expressing"] or 0.0),
            r["tier"],
            r["tissue"],
            r["cell_type"],
            r["suspension"],
            r["assay_class"],
        )
    )
    return assessed[:N_WORST]


def _about(row: Row, tier_row: Row) -> bool:
    """Tell whether an evidence row is about a tier row, by its label or as a finer cell type."""
    if row["tier_label"] == tier_row["label"]:
        return True
    wanted = tier_row["cell_type_id"]
    if (
        not wanted
        or row["suspension"] == "none"
        or wanted not in ontology.ancestors(row["cell_type_id"])
    ):
        return False
    in_tissue = tier_row["tissue_id"] in ontology.ancestors(row["tissue_id"])
    return in_tissue or tier_row["tissue_required"] != "yes"


def must_check(
    knowledge: Knowledge, antigen: Antigen, evidence: Sequence[Row]
) -> list[dict[str, Any]]:
    """Return the healthy cell types that must be checked for an antigen, with their verdict.

    Parameters
    ----------
    knowledge
        Curated tables.
    antigen
        The antigen.
    evidence
        Evidence rows of this antigen.

    Returns
    -------
    list of dict
        The curated report with ``row``, the evidence with the worst verdict on that cell type;
        None if no row is about it. A group that was assessed speaks before one that was not.
    """
    tiers = {r["label"]: r for r in records(knowledge.tissue_tiers)}
    table = knowledge.healthy_literature
    wanted = records(table[(table["symbol"] == antigen.symbol) & (table["must_check"] == "yes")])

    def worst(row: Row) -> tuple[bool, int, float, int]:
        seen = row["verdict"] not in GAPS
        severity = VERDICTS.index(row["verdict"])
        return (seen, severity if seen else -severity, row["harm"] or 0.0, row["n_cells"])

    found = []
    for report in wanted:
        about = [r for r in evidence if _about(r, tiers[report["tier_label"]])]
        found.append({**report, "row": max(about, key=worst, default=None)})
    return found


def _above(
    outranks: pd.DataFrame, antigen: Antigen, shown: Sequence[Antigen]
) -> list[dict[str, Any]]:
    """Return the other antigens shown, and how often this one is above them when resampled."""
    own = records(outranks[outranks["gene_id"] == antigen.gene_id])
    chance = {r["other_gene_id"]: r["probability"] for r in own}
    return [
        {"name": a.short, "probability": chance[a.gene_id]} for a in shown if a.gene_id in chance
    ]


def _silent(known: Mapping[str, Any], evidence: Sequence[Row]) -> bool:
    """Tell whether nothing of a toxicity class was assessed and nothing is reported of it.

    A report on a tolerated lineage costs nothing, and is a report all the same.
    """
    row = known["row"]
    if known["proxy"] or row["n_groups_assessed"] or row["factor"] < 1:
        return False
    return not any(
        r["literature"] for r in evidence if r["toxicity_class"] == row["toxicity_class"]
    )


def _curated(table: pd.DataFrame, antigen: Antigen) -> list[dict[str, Any]]:
    return records(table[table["symbol"] == antigen.symbol])


def dossier(
    data: ReportData,
    antigen: Antigen,
    shown: Sequence[Antigen],
    evidence: Sequence[Row],
    classes: list[dict[str, Any]],
) -> dict[str, Any]:
    """Gather what the dossier of one antigen shows.

    Parameters
    ----------
    data
        The report.
    antigen
        The antigen.
    shown
        All antigens shown, in order.
    evidence
        Evidence rows of all antigens shown.
    classes
        Toxicity classes in order, from :func:`targetscore.report.views.toxicity`.
    """
    shedding = records(data.shedding[data.shedding["gene_id"] == antigen.gene_id])
    shedding.sort(key=lambda r: _ITEMS.index(r["item"]))
    own = [r for r in evidence if r["gene_id"] == antigen.gene_id]
    worst = worst_groups(own)
    costs = level_costs(data.levels, antigen.gene_id)
    rows = ((c, c["cells"][antigen.gene_id]) for c in classes if antigen.gene_id in c["cells"])
    own_classes = [{**c, "row": row, "level": costs.get(row["toxicity_class"])} for c, row in rows]
    patients = records(data.coverage[data.coverage["gene_id"] == antigen.gene_id])
    return {
        "antigen": antigen,
        "part": antigen.part,
        "row": records(data.ranking[data.ranking["gene_id"] == antigen.gene_id])[0],
        "above": _above(data.outranks, antigen, shown),
        "coverage": sorted(patients, key=lambda r: (r["atlas"], r["donor"])),
        "in_patients": any(r["patients_n_cells"] for r in worst),
        "composite": composite(
            antigen.part, data.scoring.composite_weights.model_dump(), data.scoring.part_floor
        ),
        "specificity": specificity(antigen.part, data.scoring.specificity_weights.model_dump()),
        "classes": [c for c in own_classes if not _silent(c, own)],
        "silent": [c for c in own_classes if _silent(c, own)],
        "worst": worst,
        "n_assessed": sum(r["verdict"] not in GAPS for r in own),
        "must_check": must_check(data.knowledge, antigen, own),
        "shedding": shedding,
        "soluble": _curated(data.knowledge.soluble_levels, antigen),
        "clinical": _curated(data.knowledge.clinical, antigen),
        "notes": [n for n in (antigen.part["notes"] or "").split("; ") if n],
    }
