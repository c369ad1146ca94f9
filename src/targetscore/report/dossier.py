"""What the dossier of one antigen shows, in a form a reader can redo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from targetscore.contracts import SHEDDING
from targetscore.report.data import ReportData
from targetscore.report.text import GAPS, records
from targetscore.report.views import Antigen, Row

FLOOR = 1e-3
"""Smallest value of a part in the product (specification C7)."""
N_WORST = 10
"""Healthy groups listed in a dossier."""
PARTS = (
    ("Specificity", "specificity", "specificity_score"),
    ("Coverage", "coverage", "coverage_score"),
    ("Healthy tissue", "safety", "safety_score"),
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


def composite(part: Row, weights: dict[str, float]) -> dict[str, Any]:
    """Lay out the weighted product of the composite score (specification C7).

    Parameters
    ----------
    part
        Row of the components.
    weights
        Exponent of each part.

    Returns
    -------
    dict
        ``rows`` (heading, column, value, used, exponent, factor), ``product`` (``None`` if a
        part is missing) and ``agrees``: whether the product is the score that was written.
    """
    rows = []
    for heading, name, column in PARTS:
        value = part[column]
        scaled = 1 - value / 200 if name == "shedding" and value is not None else value
        used = None if scaled is None else max(FLOOR, scaled)
        rows.append(
            {
                "heading": heading,
                "column": column,
                "value": value,
                "used": used,
                "exponent": weights[name],
                "factor": None if used is None else used ** weights[name],
            }
        )
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


def _curated(table: pd.DataFrame, antigen: Antigen) -> list[dict[str, Any]]:
    return records(table[table["symbol"] == antigen.symbol])


def dossier(
    data: ReportData, antigen: Antigen, evidence: Sequence[Row], classes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Gather what the dossier of one antigen shows.

    Parameters
    ----------
    data
        The report.
    antigen
        The antigen.
    evidence
        Evidence rows of all antigens shown.
    classes
        Toxicity classes in order, from :func:`targetscore.report.views.toxicity`.
    """
    shedding = records(data.shedding[data.shedding["gene_id"] == antigen.gene_id])
    shedding.sort(key=lambda r: _ITEMS.index(r["item"]))
    own = [r for r in evidence if r["gene_id"] == antigen.gene_id]
    return {
        "antigen": antigen,
        "part": antigen.part,
        "composite": composite(antigen.part, data.scoring.composite_weights.model_dump()),
        "specificity": specificity(antigen.part, data.scoring.specificity_weights.model_dump()),
        "classes": [
            {**c, "row": c["cells"][antigen.gene_id]}
            for c in classes
            if antigen.gene_id in c["cells"]
        ],
        "worst": worst_groups(own),
        "n_assessed": sum(r["verdict"] not in GAPS for r in own),
        "shedding": shedding,
        "soluble": _curated(data.knowledge.soluble_levels, antigen),
        "clinical": _curated(data.knowledge.clinical, antigen),
        "notes": [n for n in (antigen.part["notes"] or "").split("; ") if n],
    }
