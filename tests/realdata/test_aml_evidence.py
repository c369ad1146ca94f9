"""Every panel antigen on healthy marrow: what the run says against GEO's raw text, cell by cell.

Nothing of the score is imported: posterior, ambient bound and verdict are worked out again here,
one donor and one cell at a time.
"""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom

from targetscore.contracts import EVIDENCE, TOXICITY
from targetscore.io import read_table

pytestmark = [pytest.mark.realdata, pytest.mark.workflow, pytest.mark.xdist_group("realdata")]

DONORS = ("BM1", "BM2", "BM3")
# Name in the Cell Ontology and alert fraction (tier 1: 2 %, 2: 5 %, 3: 10 %, 4: 20 %).
TYPES = {
    "HSC": ("hematopoietic stem cell", 0.02),
    "Prog": ("hematopoietic precursor cell", 0.02),
    "GMP": ("granulocyte monocyte progenitor cell", 0.05),
    "ProMono": ("promonocyte", 0.05),
    "Mono": ("monocyte", 0.10),
    "cDC": ("conventional dendritic cell", 0.10),
    "pDC": ("plasmacytoid dendritic cell", 0.20),
    "earlyEry": ("erythroid progenitor cell", 0.05),
    "lateEry": ("erythroblast", 0.05),
    "ProB": ("pro-B cell", 0.20),
    "B": ("B cell", 0.20),
    "Plasma": ("plasma cell", 0.20),
    "T": ("T cell", 0.05),
    "CTL": ("cytotoxic T cell", 0.05),
    "NK": ("natural killer cell", 0.10),
}
# Strong reports of expression (knowledge tables) in cells of this marrow: never explained away.
REPORTED = {
    "CD38": set(TYPES) - {"cDC", "B", "ProB"},
    "CD33": {"HSC", "Prog", "GMP", "ProMono", "Mono", "earlyEry"},
    "IL3RA": {"HSC", "Prog", "GMP", "ProMono", "earlyEry", "pDC"},
    "FLT3": {"HSC", "cDC"},
    "SLAMF7": {"NK", "Mono", "cDC", "Plasma"},
    "TNFRSF17": {"Plasma"},
    "GPRC5D": {"Plasma"},
    "SDC1": {"Plasma"},
    "FCRL5": {"Plasma"},
    "CD19": {"B", "ProB"},
    "CLEC12A": {"Mono", "cDC"},
    "CSF1R": {"Mono"},
    "CD86": {"Mono", "cDC"},
    "CD70": {"T", "CTL", "cDC"},
}


def posterior(k: list[float], n: list[int], counted: list[bool]) -> tuple[float, float, float]:
    """Median, 2.5 % and 97.5 % of the expressing fraction with donors as units (C1)."""
    kept = [(a, b) for a, b, use in zip(k, n, counted, strict=True) if use]
    total, positive = sum(b for _, b in kept), sum(a for a, _ in kept)
    precision = 20.0
    if len(kept) >= 3 and 0 < positive < total:
        p = positive / total
        between = sum(b * (a / b - p) ** 2 for a, b in kept)
        own = p * (1 - p) * (len(kept) - 1)
        free = total - sum(b * b for _, b in kept) / total - (len(kept) - 1)
        rho = min(max((between - own) / (p * (1 - p) * free), 0.001), 0.999)
        precision = min(max(1 / rho - 1, 2.0), 1000.0)
    a, b = 0.1, 1.9
    for positive, cells in zip(k, n, strict=True):
        effective = cells / (1 + (cells - 1) / (precision + 1))
        a += effective * positive / cells
        b += effective * (1 - positive / cells)
    return tuple(float(q) for q in beta.ppf([0.5, 0.025, 0.975], a, b))


def thinned(x: int, s: int) -> float:
    """Chance to see a gene of ``x`` counts if the cell held 2,000 UMI."""
    return 1 - (1 - 2000 / s) ** x if s > 2000 else float(x > 0)


def by_free_rna(sample: pd.DataFrame, antigen: str, label: str) -> float:
    """Cells of a lineage that 5 % of free RNA of the other lineages may show, cell by cell."""
    others = sample.loc[sample["CellType"] != label, antigen].sum() / sample["library"].sum()
    own = sample.loc[sample["CellType"] == label, "library"]
    return sum(1 - math.exp(-0.05 * others * s) for s in own)


def within(found: int, n: int, expected: float) -> bool:
    return found <= binom.ppf(0.975, n, expected / n)


def verdict(n: int, donors: int, seen: float, median: float, upper: float, alert: float) -> str:
    """What may be said of a group (C4); a literature report comes on top of it."""
    if n < 20:
        return "not_assessed"
    if median >= alert:
        return "concern"
    if n >= 50 and donors >= 3:
        return "possible" if upper > alert else "clear"
    return "possible" if seen >= alert else "no_signal_insufficient"


@pytest.fixture(scope="module")
def expected(aml_cells) -> pd.DataFrame:
    """One row per antigen and cell type of the three marrow donors, from the raw text alone."""
    marrow = aml_cells[aml_cells["sample"].isin(DONORS)]
    samples = [marrow[marrow["sample"] == donor] for donor in DONORS]
    rows = []
    for antigen, reported in REPORTED.items():
        for label, (cell_type, alert) in TYPES.items():
            owns = [(s, s[s["CellType"] == label]) for s in samples]
            owns = [(sample, own) for sample, own in owns if len(own)]
            n = [len(own) for _, own in owns]
            seen = [int((own[antigen] > 0).sum()) for _, own in owns]
            k = [sum(map(thinned, own[antigen], own["library"])) for _, own in owns]
            counted = [len(own) >= 5 and own["library"].mean() >= 500 for _, own in owns]
            median, lower, upper = posterior(k, n, counted)
            free = [by_free_rna(sample, antigen, label) for sample, _ in owns]
            explainable = (
                sum(seen) > 0
                and within(sum(seen), sum(n), sum(free))
                and all(map(within, seen, n, free))
            )
            limits = (sum(n), sum(counted), sum(seen) / sum(n))
            if_expressed = verdict(*limits, median, upper, alert)
            if explainable and label not in reported:
                median = lower = 0.0
            said = verdict(*limits, median, upper, alert)
            if said == "clear" and label in reported:
                said = "possible"
            cpm = [1e6 * own[antigen].sum() / own["library"].sum() for _, own in owns]
            used = [c for c, use in zip(cpm, counted, strict=True) if use] or cpm
            rows.append(
                {
                    "antigen": antigen,
                    "label": label,
                    "cell_type": cell_type,
                    "n_cells": sum(n),
                    "n_detected": sum(seen),
                    "n_donors": sum(counted),
                    "fraction_expressing": median,
                    "fraction_expressing_lower": lower,
                    "fraction_expressing_upper": upper,
                    "mean_cpm": float(np.mean(used)),
                    "verdict": said,
                    "explainable": explainable,
                    "verdict_if_expressed": if_expressed,
                }
            )
    return pd.DataFrame(rows).set_index(["antigen", "cell_type"]).sort_index()


@pytest.fixture(scope="module")
def evidence(real_run) -> pd.DataFrame:
    """The run's evidence, text as ``str``."""
    path = real_run[0] / "results/score/aml_van_galen/evidence.parquet"
    return read_table(path, EVIDENCE).astype(
        {"antigen": str, "cell_type": str, "tissue": str, "verdict": str, "toxicity_class": str}
    )


@pytest.fixture(scope="module")
def beside(evidence, expected) -> pd.DataFrame:
    """What the run says of each measured group, and what the raw text says (``*_raw``)."""
    found = evidence[evidence["n_cells"] > 0].set_index(["antigen", "cell_type"])
    assert found.index.is_unique
    assert set(found.index) == set(expected.index)
    return found.join(expected, rsuffix="_raw")


@pytest.mark.parametrize("column", ["n_cells", "n_detected", "n_donors", "verdict"])
def test_cells_donors_and_verdicts_are_those_of_the_raw_text(beside, column):
    wrong = beside[beside[column] != beside[f"{column}_raw"]]
    assert wrong.empty, wrong[[column, f"{column}_raw"]]


@pytest.mark.parametrize(
    "column",
    [
        "fraction_expressing",
        "fraction_expressing_lower",
        "fraction_expressing_upper",
        "mean_cpm",
    ],
)
def test_bounds_are_those_of_the_raw_text(beside, column):
    assert beside[column].to_numpy() == pytest.approx(beside[f"{column}_raw"].to_numpy(), abs=1e-6)


# By hand from the tables above: what must be named, and nothing else of the marrow.
CONCERNS = {
    "FLT3": {"HSC", "Prog", "GMP", "ProMono", "cDC", "pDC"},
    "CD38": {"HSC", "Prog", "GMP", "earlyEry"},
    "CLEC12A": {"Prog", "GMP", "ProMono", "Mono", "cDC"},
    "IL3RA": {"Prog", "pDC"},
    "CD33": {"ProMono"},
    "CSF1R": {"ProMono"},
    "CD86": {"ProMono", "Mono", "cDC"},
    "SLAMF7": {"CTL", "cDC", "pDC"},
}


def test_stem_progenitor_monocyte_and_t_cell_concerns_are_named(beside):
    concern = beside[beside["verdict"] == "concern"].reset_index()
    named = concern.groupby("antigen")["label"].agg(set).to_dict()
    assert named == CONCERNS
    assert (concern["n_donors"] >= 2).all()


def test_what_is_known_of_an_antigen_is_never_called_clear(beside):
    """CD33 and IL3RA are on stem cells by protein (strong reports); 20 cells show no RNA of it."""
    for antigen in ("CD33", "IL3RA"):
        group = beside.loc[antigen, "hematopoietic stem cell"]
        assert (group["n_cells"], group["n_donors"], group["n_detected"]) == (20, 2, 0)
        assert group["verdict"] == "no_signal_insufficient"
        assert group["fraction_expressing_upper"] == pytest.approx(0.0599, abs=5e-5)
        assert group["literature"] == "strong"
        assert group["gap_penalty"] == pytest.approx(0.9), "20 cells do not outweigh the report"
    assert beside.loc["CD33", "monocyte"]["verdict"] == "possible"
    reported = [label in REPORTED[antigen] for (antigen, _), label in beside["label"].items()]
    assert "clear" not in set(beside.loc[reported, "verdict"])


def test_free_rna_explains_one_or_two_cells_and_no_verdict(beside):
    flagged = beside[beside["ambient_explainable"].astype(bool)]
    by_hand = beside["explainable"] & np.array(
        [label not in REPORTED[antigen] for (antigen, _), label in beside["label"].items()]
    )
    assert set(flagged.index) == set(beside.index[by_hand])
    assert len(flagged) == 12
    assert flagged["n_detected"].max() == 2
    assert flagged["literature"].isna().all()
    assert (flagged["verdict"] == flagged["verdict_if_expressed"]).all()
    spared = beside[beside["explainable"] & ~by_hand]
    assert set(spared.index) == {
        ("CD38", "T cell"),
        ("CD38", "hematopoietic stem cell"),
        ("IL3RA", "erythroid progenitor cell"),
    }


# Toxicity classes of which marrow holds no cell, and what the literature takes off safety.
OUTSIDE = {
    "biliary": {"SDC1": 0.7},
    "cardiac": {"CD38": 0.18},
    "endocrine": {"CD38": 0.7},
    "endothelial_capillary_leak": {"IL3RA": 0.9},
    "gastrointestinal": {"SDC1": 0.7},
    "hepatic": {"CD33": 0.35, "CSF1R": 0.35, "SDC1": 0.9},
    "musculoskeletal": {"CD38": 0.7},
    "neurotoxicity_parenchymal": {
        "CD33": 0.7,
        "CD86": 0.7,
        "CSF1R": 0.7,
        "CD38": 0.18,
        "GPRC5D": 0.18,
        "TNFRSF17": 0.18,
    },
    "neurotoxicity_peripheral": {},
    "neurotoxicity_vascular_BBB": {"CD19": 0.18},
    "ocular": {},
    "oral_taste": {"GPRC5D": 0.35, "SDC1": 0.35},
    "pulmonary": {"CD38": 0.7, "SDC1": 0.7},
    "renal": {},
    "reproductive": {"CD38": 0.02},
    "serositis": {},
    "skin_hair_nail": {"GPRC5D": 0.35, "SDC1": 0.35},
    "stromal": {"CD38": 0.07, "CSF1R": 0.35},
}


def test_classes_outside_marrow_are_gaps_that_literature_prices(real_run, evidence):
    path = real_run[0] / "results/score/aml_van_galen/toxicity.parquet"
    table = read_table(path, TOXICITY).astype(
        {"antigen": str, "toxicity_class": str, "verdict": str}
    )
    for name, known in OUTSIDE.items():
        rows = table[table["toxicity_class"] == name].set_index("antigen")
        assert set(rows.index) == set(REPORTED)
        assert (rows["n_groups_assessed"] == 0).all()
        assert (rows["n_groups_not_assessed"] > 0).all()
        assert set(rows["verdict"]) <= {"not_assessed", "not_assessable_by_RNA"}
        assert rows["harm"].isna().all()
        found = rows["gap_penalty"].dropna().round(9).to_dict()
        assert found == known, name
        assert rows["factor"].to_dict() == pytest.approx(
            {antigen: 1 - known.get(antigen, 0.0) for antigen in rows.index}
        )
        lines = evidence[evidence["toxicity_class"] == name]
        assert len(lines)
        assert (lines["n_cells"] == 0).all()
        assert lines["fraction_expressing"].isna().all()


def test_explain_names_concerns_with_donors_and_bounds(beside, explained):
    for antigen, labels in CONCERNS.items():
        told = explained(antigen)
        for cell_type, group in beside.loc[antigen].iterrows():
            if group["label"] not in labels & {"HSC", "Prog", "GMP", "ProMono", "Mono", "CTL"}:
                continue
            line = next(x for x in told.splitlines() if f" {cell_type}, bone marrow: " in x)
            bounds = [group[f"fraction_expressing_{end}_raw"] for end in ("lower", "upper")]
            assert f"({bounds[0]:.3f}–{bounds[1]:.3f})" in line
            donors = "1 donor" if group["n_donors_raw"] == 1 else f"{group['n_donors_raw']} donors"
            assert f" {donors}, {group['n_cells_raw']} cell" in line
            assert line.endswith(": concern")
