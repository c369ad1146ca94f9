"""The tables of a small invented world, as score would write them; some names are hostile."""

import numpy as np
import pandas as pd

from targetscore.config.models import Scoring
from targetscore.contracts import RANKING

SCRIPT = "<img src=x onerror=alert(1)>"
CLOSING = "</script><script>alert(2)</script>"
TURNED = "gland\u202egnol \"quoted\" & 'single'"
LONG = "x" * 300
ATTRIBUTE = '" onmouseover="alert(3)" x="'
CLASSES = {
    "neurotoxicity_vascular_BBB": 1,
    "haematopoietic_stem_cytopenia": 1,
    "T_cell_fratricide": 2,
    "gut_epithelium": 2,
    "skin_hair_nail": 3,
    "B_lineage_aplasia": 4,
}
SOURCES = (
    "Doe 2020 doi:10.1000/x<b>",
    "Roe 2021 <b> [mixed]",
    "prior knowledge",
)
TISSUES = {
    "bone marrow": "UBERON:0002371",
    "blood": "UBERON:0000178",
    "spleen": "UBERON:0002106",
    "lung": "UBERON:0002048",
    "liver": "UBERON:0002107",
    "colon": "UBERON:0001155",
    "skin": "label:skin",
    "brain": "UBERON:0000955",
    "heart": "UBERON:0000948",
}
BLIND = ("brain", "heart")
TABLES = (
    *("evidence", "toxicity", "coverage", "shedding"),
    *("components", "ranking", "robustness", "outranks"),
)
UNSURE = 5
"""Rank of the antigen without an interval."""
OUTRANKS = {(1, 2): 0.91, (2, 1): 0.09, (2, 3): 0.49, (3, 2): 0.51}
ANTIGENS = (
    ("TNFRSF17", "BCMA", 0.87, "ranked"),
    ("GPRC5D", "GPRC5D", 0.82, "ranked"),
    ("SLAMF7", "CS1", 0.74, "ranked"),
    ("CD38", "CD38", 0.61, "ranked"),
    (ATTRIBUTE + LONG, SCRIPT, 0.3, "ranked"),
    ("SDC1", "CD138", 0.7, "incomplete"),
)


def panel(n):
    """Return this many antigens: the six named ones, then others like them."""
    more = [(f"GENE{i}", f"Gene {i}", 0.6 - 0.01 * (i % 50), "ranked") for i in range(6, n)]
    return [*ANTIGENS, *more][:n]


def evidence(rng, antigens, n_groups):
    rows = []
    for g in range(n_groups):
        tissue = list(TISSUES)[g % len(TISSUES)]
        klass = list(CLASSES)[g % len(CLASSES)]
        name = {0: SCRIPT, 10: TURNED, 20: LONG, 30: CLOSING}.get(g, f"cell type {g:03d}")
        blind = tissue in BLIND or g % 13 == 5
        # A group too thin to assess stands beside the tier row it does not assess.
        thin = g % 13 == 5 and g % 2 == 1 and tissue not in BLIND
        for k, (gene_id, symbol) in enumerate(antigens):
            n_cells = int(rng.integers(50, 4000))
            share = float(rng.beta(0.3, 6)) if (g + k) % 4 else 0.0
            detected = round(share * n_cells)
            share = detected / n_cells
            spread = 1.96 * np.sqrt((share * (1 - share) + 0.01) / n_cells)
            reported = blind and (g * 7 + k) % 5 == 0
            verdict = (
                "not_assessed"
                if blind
                else "concern"
                if share > 0.1
                else "possible"
                if share > 0.02
                else "no_signal_insufficient"
                if g % 5 == 0
                else "clear"
            )
            rows.append(
                {
                    "gene_id": gene_id,
                    "antigen": symbol,
                    "tissue_id": TISSUES[tissue],
                    "tissue": tissue,
                    "cell_type_id": f"CL:{g:07d}",
                    "cell_type": name,
                    "suspension": "none" if blind else "nucleus" if g % 9 == 4 else "cell",
                    "assay_class": "none" if blind else "droplet",
                    "tier_label": f"{name} row" if blind or g % 3 else None,
                    "tier": CLASSES[klass],
                    "toxicity_class": klass,
                    "tolerated": klass == "B_lineage_aplasia",
                    "n_donors": 0 if blind else int(rng.integers(1, 12)),
                    "n_cells": 0 if blind else n_cells,
                    "n_detected": None if blind else detected,
                    "fraction_observed": None if blind else share,
                    "fraction_expressing": None if blind else share * 0.98,
                    "fraction_expressing_lower": None if blind else max(0.0, share - spread),
                    "fraction_expressing_upper": None if blind else min(1.0, share + spread),
                    "mean_cpm": None if blind else share * 900 * float(rng.gamma(2, 0.5)),
                    "median_cpm": None if blind else share * 700,
                    "q75_log2_cpm": None if blind else float(np.log2(share * 800 + 10)),
                    "harm": None if blind else min(0.9, share * 2 / CLASSES[klass]),
                    "verdict": verdict,
                    "literature": ("strong" if k % 2 else "contested") if reported else None,
                    "literature_source": SOURCES[g % 3] if reported else None,
                    "gap_penalty": 0.9 if reported else None,
                    "atlases": None if blind else "demo_healthy",
                    "ambient_explainable": None if blind else verdict == "possible" and k == 0,
                    "patients_n_donors": 3 if g % 2 and not blind else None,
                    "patients_n_cells": 40 + g if g % 2 and not blind else None,
                    "patients_fraction_expressing": share / 2 if g % 2 and not blind else None,
                    "patients_fraction_expressing_upper": share if g % 2 and not blind else None,
                    "patients_mean_cpm": share * 333 if g % 2 and not blind else None,
                }
            )
            if thin:
                rows.append(
                    {
                        **rows[-1],
                        "suspension": "cell",
                        "assay_class": "droplet",
                        "n_donors": 1,
                        "n_cells": 12,
                        "n_detected": 1,
                        "fraction_observed": 1 / 12,
                        "gap_penalty": None,
                        "atlases": "demo_healthy",
                    }
                )
    table = pd.DataFrame(rows)
    for name in ("n_detected", "patients_n_donors", "patients_n_cells"):
        table[name] = table[name].astype("Int64")
    table["ambient_explainable"] = table["ambient_explainable"].astype("boolean")
    return table


def toxicity(evidence):
    rows = []
    for (gene_id, symbol, klass), part in evidence.groupby(
        ["gene_id", "antigen", "toxicity_class"], sort=True
    ):
        seen = part[part["verdict"] != "not_assessed"].sort_values("harm", ascending=False)
        gap = part[part["literature"].notna()]
        worst = seen.iloc[0] if len(seen) else None
        harm = float(worst["harm"]) if worst is not None else None
        penalty = float(gap["gap_penalty"].max()) if len(gap) else None
        rows.append(
            {
                "gene_id": gene_id,
                "antigen": symbol,
                "toxicity_class": klass,
                "verdict": worst["verdict"] if worst is not None else "not_assessed",
                "n_groups_assessed": len(seen),
                "n_groups_not_assessed": len(part) - len(seen),
                "harm": harm,
                "gap_penalty": penalty,
                "factor": (1 - (harm or 0)) * (1 - (penalty or 0)),
                "worst_cell_type": worst["cell_type"] if worst is not None else None,
                "worst_tissue": worst["tissue"] if worst is not None else None,
                "gap_label": gap["cell_type"].iloc[0] if len(gap) else None,
            }
        )
    return pd.DataFrame(rows)


def coverage(rng, antigens, n_patients):
    rows = []
    for i, (gene_id, symbol) in enumerate(antigens):
        k = i % len(ANTIGENS)
        for p in range(n_patients):
            n_cells = 9 if p == 3 else 120 + 11 * p
            share = float(rng.beta(5 - k * 0.8, 1 + k))
            rows.append(
                {
                    "gene_id": gene_id,
                    "antigen": symbol,
                    "atlas": "demo_tumour",
                    "donor": f"P{p:02d}{SCRIPT if p == 1 else ''}",
                    "n_cells": n_cells,
                    "fraction_observed": share * 0.7,
                    "fraction_thinned": share * 0.6,
                    "fraction_corrected": share,
                    "fraction_corrected_dispersed": min(1.0, share * 1.1),
                    "fraction_corrected_even": share * 0.9,
                    "fraction": None if symbol == "SDC1" else share,
                    "fraction_lower": None if symbol == "SDC1" else share * 0.9,
                    "fraction_upper": None
                    if symbol == "SDC1"
                    else 1.0
                    if symbol != "GPRC5D" and p % 5 == 0
                    else min(1.0, share * 1.07),
                    "identifiable": symbol == "GPRC5D" or bool(p % 5),
                    "cpm": share * 400,
                    "counted": n_cells >= 20,
                    "counterpart_cpm": None if p % 2 else share * 90,
                }
            )
    return pd.DataFrame(rows)


def shedding(antigens):
    most = {"mechanism": 35, "soluble": 35, "topology": 15, "isoform": 5, "sheddase_expression": 10}
    return pd.DataFrame(
        [
            {
                "gene_id": gene_id,
                "antigen": symbol,
                "item": item,
                "finding": f"finding of {item} {SCRIPT}",
                "points_low": 0.0 if item == "isoform" else 0.25 * points,
                "points_mid": 0.25 * points,
                "points_high": float(points if item == "isoform" else 0.25 * points),
                "points_max": float(points),
                "known": item != "isoform",
                "source": None if item == "isoform" else "Laurent 2015 Nat Commun 6:7333",
                "status": "unknown" if item == "isoform" else "verified",
            }
            for gene_id, symbol in antigens
            for item, points in most.items()
        ]
    )


def components(evidence, antigens=ANTIGENS):
    weights = Scoring().composite_weights
    rows = []
    for i, (symbol, display, level, status) in enumerate(antigens):
        k = i % len(ANTIGENS)
        own = evidence[evidence["antigen"] == symbol]
        worst = own[~own["tolerated"]].sort_values("harm", ascending=False).iloc[0]
        complete = status == "ranked"
        parts = (level * 0.8, level if complete else None, level * 0.7, 0.95, 90 - 12.5 * k)
        composite = None
        if complete:
            composite = float(
                parts[0] ** weights.specificity
                * parts[1] ** weights.coverage
                * parts[2] ** weights.safety
                * parts[3] ** weights.surface
                * (1 - 0.5 * parts[4] / 100) ** weights.shedding
            )
        rows.append(
            {
                "gene_id": f"ENSG{i:011d}",
                "antigen": symbol,
                "display": display,
                "status": status,
                "reason": None if complete else "cells were sorted by CD138 <b>",
                "specificity_score": parts[0],
                "coverage_score": parts[1],
                "safety_score": parts[2],
                "surface_confidence": parts[3],
                "shedding_score": parts[4],
                "composite_score": composite,
                "log_fold_change": 4.2 - 2 * k,
                "log_fold_change_group": worst["cell_type"],
                "log_fold_change_counterpart": -0.12345,
                "detection_gap": 0.4 - 0.15 * k,
                "auc_min": 0.95 - 0.05 * k,
                "tau": 0.91 - 0.1 * k,
                "tau_argmax": "plasma cell",
                "specificity_s1": 0.9 - 0.1 * k,
                "specificity_s2": max(0.0, 0.4 - 0.15 * k),
                "specificity_s3": 0.9 - 0.1 * k,
                "specificity_s4": 0.91 - 0.1 * k,
                "fraction_expressing_lower": level * 0.8,
                "fraction_expressing_upper": min(1.0, level * 1.1),
                "fraction_p10": level * 0.5,
                "fraction_expressing_dispersed": min(1.0, level * 1.07),
                "fraction_expressing_even": level * 0.91,
                "heterogeneity": 0.1 + 0.06 * k,
                "residual_fraction": 1 - level,
                "residual_fraction_lower": 1 - min(1.0, level * 1.1),
                "residual_fraction_upper": 1 - level * 0.8,
                "log10_residual_cells": 12 + float(np.log10(1 - level)),
                "log10_on_target_cells": 12 + float(np.log10(level)),
                "n_patients_escaping": k,
                "n_patients_escape_untold": k % 2,
                "patients_escape_untold": "P05" if k % 2 else None,
                "detection_gap_thinned": 0.31 - 0.15 * k,
                **{f"log_fold_change_tier{t}": 4.2 - 2 * k + 0.3 * t for t in (1, 2, 3, 4)},
                "tumour_median_cpm": 812.345 / (k + 1),
                "safety_assessed": level * 0.75,
                "safety_lower": level * 0.6,
                "safety_upper": level * 0.8,
                "shedding_low": max(0.0, parts[4] - 10),
                "shedding_high": min(100.0, parts[4] + 20),
                "shedding_completeness": 0.85,
                "notes": "one patient gives most cells; second note <i>" if k == 0 else None,
                "worst_cell_type": worst["cell_type"],
                "worst_tissue": worst["tissue"],
                "worst_verdict": worst["verdict"],
                "worst_tier": int(worst["tier"]),
                "shedding_grade": ("very_high", "low_uncertain", "high")[k % 3],
                "evidence_grade": "ABCD"[k % 4],
                "n_patients": 11,
                "n_identifiable": 11 if symbol == "GPRC5D" else 8,
                "n_healthy_donors": 37,
                "n_gaps": int((own["suspension"] == "none").sum()),
                "fraction_expressing": level,
                "share_patients_above_half": min(1.0, level * 1.12),
            }
        )
    return pd.DataFrame(rows)


def tissue_tiers(evidence):
    labels = evidence["tier_label"].dropna().unique()
    columns = ["cell_type_id", "tissue_id", "tissue_required"]
    return pd.DataFrame({"label": labels}).assign(**dict.fromkeys(columns, ""))


def healthy_literature(evidence):
    labels = evidence.dropna(subset="tier_label").drop_duplicates("tier_label")["tier_label"]
    columns = ["symbol", "tier_label", "strength", "must_check", "finding", "source", "status"]
    return pd.DataFrame(
        [
            ("TNFRSF17", labels.iloc[1], "strong", "yes", f"seen {SCRIPT}", "Doe 2020", "verified"),
            ("TNFRSF17", labels.iloc[5], "contested", "yes", "weak", "memory", "prior knowledge"),
            ("TNFRSF17", labels.iloc[2], "strong", "no", "not to check", "Doe 2020", "verified"),
        ],
        columns=columns,
    )


def ranking(components, simulated):
    table = components.copy()
    table["rank"] = table["composite_score"].rank(ascending=False, method="first").astype("Int64")
    table["data"] = "SIMULATED" if simulated else "measured"
    level, rank = table["composite_score"], table["rank"].astype("float")
    known = rank.notna() & rank.ne(UNSURE)
    drawn = pd.DataFrame(
        {
            "composite_lower": level * 0.9,
            "composite_upper": level * 1.05,
            "rank_lower": (rank - 1).clip(lower=1),
            "rank_median": rank + 0.5,
            "rank_upper": rank + 2,
            "probability_top1": 0.91 / rank**2,
            "probability_top3": 0.99 / rank,
            "probability_top5": 0.999 / rank**0.5,
        }
    ).where(known)
    drawn["n_replicates"] = known * 500
    drawn["no_interval_reason"] = np.where(known, None, "fewer than 3 patients to resample")
    table = table.join(drawn).assign(rank_weights_lower=rank, rank_weights_upper=rank + 1)
    table = table.sort_values(["rank", "antigen"], na_position="last")
    return table.reindex(columns=RANKING.names)


def robustness(components):
    """Invent four kinds of scenario; the last is of a kind no template names."""
    ranked = components["composite_score"].notna()
    order = components["composite_score"].rank(ascending=False, method="first")
    swapped = order.map({1.0: 2.0, 2.0: 1.0}).fillna(order)
    fewer = order.where(order.lt(3) | ~ranked)
    scenarios = [
        ("as_configured", "as configured", order, None),
        ("atlas_left_out", "without demo_healthy", order * np.nan, "no atlas is left " + SCRIPT),
        ("patient_left_out", f"without P01{SCRIPT} of demo_tumour", swapped, None),
        ("patient_left_out", "without P02 of demo_tumour", order, None),
        ("threshold", "alert_fraction × 0.5", fewer, "not on the surface"),
        ("dropout_dispersion", "dropout_dispersion = 6", order, None),
    ]
    rows = [
        pd.DataFrame(
            {
                "gene_id": components["gene_id"],
                "antigen": components["antigen"],
                "kind": kind,
                "scenario": name,
                "composite_score": components["composite_score"].where(rank.notna()),
                "rank": rank.astype("Int64"),
                "reason": np.where(rank.notna(), None, reason or components["reason"]),
            }
        )
        for kind, name, rank, reason in scenarios
    ]
    return pd.concat(rows, ignore_index=True)


def outranks(ranking):
    """Invent how often one is above another: rank 2 and 3 cannot be told apart."""
    rows = ranking[ranking["rank"].notna()].to_dict("records")
    return pd.DataFrame(
        [
            {
                "gene_id": a["gene_id"],
                "antigen": a["antigen"],
                "other_gene_id": b["gene_id"],
                "other": b["antigen"],
                "probability": None
                if UNSURE in (a["rank"], b["rank"])
                else OUTRANKS.get((a["rank"], b["rank"]), 0.99 if a["rank"] < b["rank"] else 0.01),
            }
            for a in rows
            for b in rows
            if a is not b
        ]
    )


def _clone(donor, chain):
    return {
        "donor": donor,
        "chain": chain,
        "gene": "IGLC2" if chain == "lambda" else None,
        "probability_clone": 0.9876,
        "n_cells": 321,
        "n_readable": 300,
        "calls": {"malignant": 250, "normal": 40, "unclear": 31},
        "unclear": {"two light chains": 31},
        "expected_normal_among_malignant": 0.0123 if chain else None,
        "ambient_from": "upper default",
    }


def atlas(name, simulated):
    return {
        "atlas": name,
        "kind": "simulated" if simulated else "tumour",
        "simulated": simulated,
        "version": "1",
        "url": "https://example.org/" + "path/" * 20,
        "sha256": "ab" * 32,
        "licence": "CC0",
        "doi": "10.1000/example",
        "note": "a note " + SCRIPT,
        "n_cells": 12000,
        "n_cells_kept": 11000,
        "rejected": {"too_few_counts": 900, CLOSING: 100},
        "n_genes": 20000,
        "genes_by_resolution": {"ensembl_id": 19990, "unresolved": 10},
        "n_genes_masked": 400,
        "malignancy_method": "column with calls",
        "populations": {"diseased": {"n_cells": 5000, "n_donors": 12}},
        "donors_without_diseased_cells": ["P98", SCRIPT],
        "clones": [_clone("P00", "lambda"), _clone(SCRIPT, None)] if "tumour" in name else [],
        "unmapped_cell_types": [{"label": SCRIPT, "n_cells": 7}],
    }
