"""Aggregated references of the invented world; some names are hostile."""

import pandas as pd
from invented_tables import CLOSING, LONG, SCRIPT, TURNED

from targetscore.contracts import LEVELS


def levels(antigens):
    """Levels that count, that do not and that say nothing; of one gene no reference holds any."""
    base = {
        "evidence_kind": "level",
        "reference": "some_levels",
        "scope": "cell_type",
        "tissue_id": "UBERON:0002046",
        "tissue": "thyroid gland",
        "cell_type_id": "CL:0002258",
        "cell_type": "thyroid follicular cell",
        "measure": "rna",
        "unit": "nTPM",
        "tier_label": "thyroid follicular cell row",
        "tier": 2,
        "toxicity_class": "gut_epithelium",
        "verdict": "possible",
        "counts": True,
    }
    whole = {"scope": "tissue", "cell_type_id": "label:whole tissue", "cell_type": "whole tissue"}
    rowless = {"tier_label": None, "tier": None, "toxicity_class": None, "counts": False}
    protein = {"measure": "protein", "unit": "protein", "reference": "some_proteins"}
    said = (
        (0, {"label": f"Thyroid {SCRIPT}", "level": 180.456, "level_lower": 180.456, "harm": 0.7}
         | whole | {"verdict": "concern", "n_donors": 3}),
        (0, {"label": f"a {LONG}", "level": 0.004, "level_lower": 0.001, "harm": 0.2}),
        (0, {"label": "Thyroid / follicle", "protein_level": "medium", "harm": 0.35,
             "reliability": CLOSING} | protein),
        (0, {"label": TURNED, "level": 1234.5, "level_lower": 1200.0, "unit": "counts",
             "verdict": "concern", "counts_not": "no tier row"} | rowless),
        (0, {"label": "B cell", "level": 90.0, "level_lower": 90.0, "harm": 0.1, "counts": False,
             "counts_not": "tolerated lineage"}),
        (1, {"label": "(not in the reference)", "measure": None, "unit": None,
             "verdict": "not_measured", "counts_not": "the reference does not hold the gene"}
         | whole | rowless),
        (2, {"label": "Thyroid", "level": 0.0, "level_lower": 0.0, "harm": 0.0, "counts": False,
             "verdict": "no_signal_insufficient", "counts_not": "below the floor"}),
        (3, {"label": "Thyroid", "protein_level": "low", "harm": 0.1, "n_donors": 1} | protein),
    )  # fmt: skip
    rows = [dict(zip(("gene_id", "antigen"), antigens[k], strict=True)) | base | r for k, r in said]
    table = pd.DataFrame(rows, columns=LEVELS.names)
    return table.astype({"n_donors": "Int64", "tier": "Int64"})


def reference(name):
    return {
        "atlas": name,
        "version": "7",
        "unit": "nTPM",
        "licence": f"CC BY {SCRIPT}",
        "doi": None,
        "n_labels": 40,
        "n_labels_used": 26,
        "unmapped_labels": [f"moon {i} {SCRIPT}" for i in range(14)],
        "url": f"https://example.org/{LONG}",
        "sha256": None,
        "note": TURNED,
    }
