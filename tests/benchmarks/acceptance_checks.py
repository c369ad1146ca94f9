"""The sixteen acceptance tests of the specification (section D), each with its figure.

The expected order was known when the rules were made, and the worlds are invented: passing
says that the rules still do what they were built for, and nothing about patients.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from worlds import (
    ATLASES,
    B_LINEAGE,
    PANEL,
    ROOT,
    SIX,
    SOLID,
    TUMOUR,
    Sums,
    indication,
    repeat_donor,
    score_world,
)

from targetscore.errors import GeneError
from targetscore.genes import load_genes
from targetscore.score import ScoreTables
from targetscore.score.pairs import or_coverage

GRADES = "ABCD"
SEPARATE = ["specificity_score", "coverage_score", "safety_score", "composite_score"]
DECOYS = ("JCHAIN", "MZB1", "DERL3", "XBP1")
AML = ("CD33", "FLT3", "IL3RA", "CLEC12A")


@dataclass
class Case:
    """A world and the scores asked of it; each is made once."""

    sums: Sums
    thinned: Sums | None
    folder: Path
    made: dict[str, ScoreTables] = field(default_factory=dict)

    def score(self, name: str, sums: Sums | None = None, **more: object) -> ScoreTables:
        """Return the score of a variant of the world."""
        if name not in self.made:
            folder = self.folder / str(len(self.made))
            self.made[name] = score_world(sums or self.sums, folder, **more)
        return self.made[name]

    def atlas(self, name: str = "whole") -> ScoreTables:
        """Return the myeloma score with a part of the healthy atlas."""
        return self.score(name, without=ATLASES[name])

    def components(self, name: str = "whole") -> pd.DataFrame:
        """Return the components of the same, by antigen."""
        return self.atlas(name).components.set_index("antigen")


Result = tuple[bool, str]


def _order(components: pd.DataFrame, symbols: tuple[str, ...]) -> list[str]:
    own = components.loc[list(symbols), "composite_score"]
    return own.sort_values(ascending=False).index.tolist()


def _verdicts(tables: ScoreTables, antigen: str) -> dict[str, str]:
    own = tables.toxicity[tables.toxicity["antigen"] == antigen]
    return dict(zip(own["toxicity_class"], own["verdict"], strict=True))


def _groups(tables: ScoreTables, antigen: str) -> pd.DataFrame:
    return tables.evidence[tables.evidence["antigen"] == antigen]


def _gaps(tables: ScoreTables, antigen: str) -> set[str]:
    own = _groups(tables, antigen)
    return set(own.loc[(own["suspension"] == "none") & own["literature"].notna(), "tier_label"])


def top_three(case: Case, atlas: str = "whole") -> Result:
    order = _order(case.components(atlas), SIX)
    return {"TNFRSF17", "GPRC5D"} <= set(order[:3]), " > ".join(order)


def fcrl5(case: Case, atlas: str = "whole") -> Result:
    order = _order(case.components(atlas), PANEL)
    return order.index("FCRL5") < 5, f"FCRL5 at {order.index('FCRL5') + 1}"


def order_of_six(case: Case, atlas: str = "whole") -> Result:
    c = case.components(atlas)["composite_score"]
    low, high = c[["TNFRSF17", "GPRC5D"]].min(), c[["CD38", "CD19", "SDC1"]].max()
    figure = f"{low:.3f} > SLAMF7 {c['SLAMF7']:.3f} > {high:.3f}"
    return bool(low > c["SLAMF7"] > high), figure


def bcma_is_shed_and_high(case: Case, atlas: str = "whole") -> Result:
    c = case.components(atlas)
    others = c.loc[["CD38", "SDC1", "CD19"], "composite_score"].max()
    own = c.loc["TNFRSF17"]
    ok = own["shedding_grade"] == "very_high" and own["composite_score"] > others
    return bool(ok), f"{own['shedding_grade']}, {own['composite_score']:.3f} against {others:.3f}"


def bcma_worst_is_pdc(case: Case) -> Result:
    own = _groups(case.atlas(), "TNFRSF17")
    own = own[~own["tolerated"] & own["harm"].notna()]
    worst = own.loc[own["fraction_expressing"].idxmax()]
    figure = f"{worst['cell_type']} {worst['fraction_expressing']:.3f}"
    return worst["cell_type"] == "plasmacytoid dendritic cell", figure


def bcma_like_its_counterpart(case: Case) -> Result:
    change = case.components().loc["TNFRSF17", "log_fold_change_counterpart"]
    return bool(abs(change) < 1), f"log2 {change:.2f}"


def gprc5d_above_its_counterpart(case: Case) -> Result:
    change = case.components().loc["GPRC5D", "log_fold_change_counterpart"]
    return bool(change > 0), f"log2 {change:.2f}"


def gprc5d_without_skin(case: Case) -> Result:
    wanted = {"hair follicle cell", "nail matrix", "inferior olivary neuron"}
    wanted |= {"tongue papilla / keratinised oral epithelium"}
    missing = wanted - _gaps(case.atlas("no skin"), "GPRC5D")
    own = case.components("no skin").loc["GPRC5D"]
    figure = f"safety {own['safety_score']:.3f} of {own['safety_assessed']:.3f}"
    ok = own["safety_score"] < own["safety_assessed"] and not missing
    return bool(ok), figure + (f", not listed: {sorted(missing)}" if missing else "")


def gprc5d_with_skin(case: Case) -> Result:
    verdict = _verdicts(case.atlas(), "GPRC5D")["skin_hair_nail"]
    return verdict == "concern", verdict


def slamf7_coverage(case: Case, atlas: str = "whole") -> Result:
    own = case.components(atlas).loc[list(SIX), "coverage_score"].sort_values(ascending=False)
    place = own.index.tolist().index("SLAMF7") + 1
    return place <= 2, f"{own['SLAMF7']:.3f}, place {place} of six"


def slamf7_classes(case: Case, atlas: str = "whole") -> Result:
    found = _verdicts(case.atlas(atlas), "SLAMF7")
    both = [found[c] for c in ("T_cell_fratricide_immunodeficiency", "NK_infection")]
    return both == ["concern", "concern"], ", ".join(both)


def slamf7_below(case: Case, atlas: str = "whole") -> Result:
    c = case.components(atlas)["composite_score"]
    low = c[["TNFRSF17", "GPRC5D"]].min()
    return bool(c["SLAMF7"] < low), f"{c['SLAMF7']:.3f} against {low:.3f}"


def cd38(case: Case) -> Result:
    tables = case.score(
        "prior daratumumab",
        asked=indication(
            diseased={
                "atlases": ["simulated_myeloma"],
                "selection": [{"antigen": "CD38", "reason": "prior daratumumab"}],
            }
        ),
    )
    stem = _verdicts(tables, "CD38")["haematopoietic_stem_cytopenia"]
    red = _groups(tables, "CD38").query("tier_label == 'erythrocyte'")["verdict"].unique()
    reason = tables.components.set_index("antigen").loc["CD38", "reason"]
    ok = stem == "concern" and list(red) == ["not_assessable_by_RNA"]
    return ok and "prior daratumumab" in reason, f"{stem}, erythrocyte {list(red)}, {reason}"


def cd38_beside(case: Case) -> Result:
    own = _groups(case.atlas(), "CD38").set_index("cell_type")
    cells = ("natural killer cell", "plasmacytoid dendritic cell")
    found = {c: str(own.loc[c, "verdict"]) for c in cells}
    figure = ", ".join(
        f"{c} {v} at {own.loc[c, 'fraction_expressing']:.3f}" for c, v in found.items()
    )
    return all(v == "concern" for v in found.values()), figure


def sdc1_epithelia(case: Case) -> Result:
    found = _verdicts(case.atlas(), "SDC1")
    classes = ("hepatic", "skin_hair_nail", "gastrointestinal")
    grade = case.components().loc["SDC1", "shedding_grade"]
    ok = grade == "very_high" and all(found[c] == "concern" for c in classes)
    return ok, f"{grade}; " + ", ".join(f"{c} {found[c]}" for c in classes)


def sdc1_sorted(case: Case) -> Result:
    tables = case.score(
        "sorted",
        asked=indication(
            diseased={
                "atlases": ["simulated_myeloma"],
                "selection": [{"antigen": "CD138", "reason": "CD138-sorted"}],
            }
        ),
    )
    own = tables.components.set_index("antigen").loc["SDC1"]
    return bool(pd.isna(own["coverage_score"]) and "selection_bias" in own["reason"]), own["reason"]


def sdc1_marrow_only(case: Case) -> Result:
    wanted = {"keratinocyte", "hepatocyte", "colon epithelium"}
    missing = wanted - _gaps(case.atlas("marrow only"), "SDC1")
    own = case.components("marrow only").loc["SDC1"]
    ok = not missing and own["safety_score"] < 0.5 * own["safety_assessed"]
    return bool(ok), f"safety {own['safety_score']:.4f} of {own['safety_assessed']:.4f}"


def cd19_low(case: Case, atlas: str = "whole") -> Result:
    own = case.components(atlas).loc["CD19"]
    ok = own["fraction_expressing"] < 0.1 and own["coverage_score"] < 0.1
    return bool(ok), f"f {own['fraction_expressing']:.3f}, coverage {own['coverage_score']:.3f}"


def cd19_normal_cells(case: Case) -> Result:
    own = _groups(case.atlas(), "CD19")
    tumour = case.components().loc["CD19", "fraction_expressing"]
    kinds = ("naive B cell", "memory B cell", "plasma cell")
    normal = {k: own.loc[own["cell_type"] == k, "fraction_expressing"].max() for k in kinds}
    mural = own[own["cell_type"].isin(["brain pericyte", "mural cell"])]
    told = (mural["verdict"].isin(["concern", "possible"])) | mural["literature"].notna()
    shown = ", ".join(f"{k} {f:.3f}" for k, f in normal.items())
    figure = f"{shown}, tumour {tumour:.3f}, mural {mural['verdict'].tolist()}"
    return bool(min(normal.values()) > tumour and told.any()), figure


def or_gain(case: Case) -> Result:
    at = [PANEL.index(s) for s in ("CD19", "TNFRSF17")]
    pair = or_coverage(*(case.sums.cells[:, i] for i in at))
    gain = pair.either - pair.second
    return gain < 0.05, f"gain {gain:.3f}, independent {pair.independent - pair.second:.3f}"


def decoys(case: Case) -> Result:
    tables = case.score("decoys", asked=indication(panel=(*DECOYS, "CT83", "TNFRSF17")))
    own = tables.components.set_index("antigen")
    specific = own.loc[["MZB1", "DERL3"], "specificity_score"].min()
    bad = [s for s in DECOYS if own.loc[s, "status"] != "not_surface"]
    low = own.loc["CT83", "surface_confidence"] < 0.5
    figure = f"specificity of MZB1, DERL3 at least {specific:.2f}; surface passed by {bad}"
    return bool(not bad and low and specific > 0.5), figure


def names(case: Case) -> Result:
    genes = load_genes(str(ROOT / "config" / "knowledge"))
    wanted = {
        "GPCR5D": "GPRC5D",
        "CD138": "SDC1",
        "BCMA": "TNFRSF17",
        "ENSG00000048462.12": "TNFRSF17",
    }
    found = {name: genes.resolve(name, "test", "panel").symbol for name in wanted}
    mapped = genes.resolve("CS1", "test", "panel", {"CS1": "SLAMF7"}).symbol
    try:
        genes.resolve("CS1", "test", "panel")
        refused = False
    except GeneError:
        refused = True
    return found == wanted and mapped == "SLAMF7" and refused, f"{found}, CS1 refused: {refused}"


def _without(case: Case, label: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    less = case.score(f"without {label}", without=(label,)).components.set_index("antigen")
    return case.components(), less


def deleting_never_helps(case: Case, labels: tuple[str, ...] = SOLID) -> Result:
    """Antigens strongly reported in what is deleted; the price of all others is printed."""
    strong = {
        "hepatocyte": ("SDC1", "CD46"),
        "colon epithelium": ("SDC1", "CD46"),
        "lung epithelium": ("CD46",),
        "cardiomyocyte": ("CD46",),
        "endothelium": ("CD46",),
        "proximal tubule": ("CD46",),
        "HSPC": ("CD46",),
        "hair follicle": ("GPRC5D",),
        "keratinocyte": ("SDC1",),
        "NK": ("SLAMF7", "CD38"),
    }
    worst, lifted = 0.0, []
    for label in labels:
        before, after = _without(case, label)
        for antigen in strong.get(label, ()):
            rise = after.loc[antigen, "safety_score"] - before.loc[antigen, "safety_score"]
            worst = max(worst, rise)
            old, new = (GRADES.index(t.loc[antigen, "evidence_grade"]) for t in (before, after))
            if rise > 1e-12 or new < old or (old < 3 and new == old and before_full(before)):
                lifted.append(f"{antigen} without {label}")
    return not lifted, f"largest rise {worst:.2e}; {lifted}"


def before_full(before: pd.DataFrame) -> bool:
    """Whether no strongly reported cell was missing before, so that the grade must fall."""
    return not before["notes"].fillna("").str.contains("(strong)", regex=False).any()


def repeated_donor(case: Case) -> Result:
    before, worst = case.components(), 0.0
    for donor in ("SIM-MM01", "SIM-HD01"):
        more = case.score(f"{donor} x 10", repeat_donor(case.sums, donor, 10))
        after = more.components.set_index("antigen")
        worst = max(worst, float((after[SEPARATE] - before[SEPARATE]).abs().max().max()))
    return worst <= 0.02, f"largest change {worst:.4f}"


def _halved(case: Case) -> pd.DataFrame:
    """Coverage of every patient with all counts and with half of them."""
    thin = case.score("half", case.thinned)
    return case.atlas().coverage.merge(
        thin.coverage, on=["antigen", "donor"], suffixes=("", "_half")
    )


def half_the_counts(case: Case) -> Result:
    both = _halved(case)
    own = both[both["identifiable"] & both["identifiable_half"]]
    moved = (own["fraction"] - own["fraction_half"]).groupby(own["antigen"]).mean().abs()
    raw = own.groupby("antigen")[["fraction_observed", "fraction_observed_half"]].mean()
    least = float((1 - raw["fraction_observed_half"] / raw["fraction_observed"]).min())
    ok = moved.max() < 0.1 and least > 0.1
    where = f"{moved.idxmax()} in {(own['antigen'] == moved.idxmax()).sum()} of 8 patients"
    figure = f"corrected moves by {moved.max():.3f} ({where}), raw falls by at least {least:.0%}"
    return bool(ok), figure


def half_the_counts_of_genes(case: Case) -> Result:
    """Antigens that are identifiable in every patient, before and after: their f_T."""
    both = _halved(case)
    sure = (both["identifiable"] & both["identifiable_half"]).groupby(both["antigen"]).all()
    genes = sure.index[sure.astype(bool)]
    if genes.empty:
        return False, "no antigen stays identifiable in every patient"
    whole, half = case.components(), case.score("half").components.set_index("antigen")
    moved = (whole["fraction_expressing"] - half["fraction_expressing"])[genes].abs()
    raw = both.groupby("antigen")[["fraction_observed", "fraction_observed_half"]].mean()
    least = float((1 - raw["fraction_observed_half"] / raw["fraction_observed"])[genes].min())
    ok = moved.max() < 0.1 and least > 0.1
    figure = f"{', '.join(genes)}: f moves by {moved.max():.3f}, raw falls by at least {least:.0%}"
    return bool(ok), figure


def b_all(case: Case) -> Result:
    panel = ("CD19", "CD22", "MS4A1", *PANEL[:3], *PANEL[4:], "CD33", "IL3RA")
    tables = case.score(
        "B-ALL",
        diseased=("naive B", "memory B"),
        asked=indication(
            panel=panel,
            disease={"id": "MONDO:0004947", "label": "B-ALL"},
            normal_counterpart=None,
        ),
    )
    order = tables.ranking["antigen"].tolist()
    concern = {k for k, v in _verdicts(tables, "CD19").items() if v == "concern"}
    ok = {"CD19", "CD22"} <= set(order[:10])
    ok &= concern <= {"B_lineage_aplasia", "neurotoxicity_vascular_BBB"}
    return bool(ok), f"{' > '.join(order[:4])}; CD19 concern: {sorted(concern)}"


def aml(case: Case) -> Result:
    tables = case.score(
        "AML",
        diseased=("monocyte",),
        asked=indication(
            panel=AML,
            disease={"id": "MONDO:0018874", "label": "AML"},
            normal_counterpart=None,
            tolerated={"cell_types": []},
        ),
    )
    best = tables.components["composite_score"].max()
    compared = case.components()["composite_score"].max()
    stem = "haematopoietic_stem_cytopenia"
    told = {
        "IL3RA": _hit(tables, "IL3RA", "endothelial_capillary_leak"),
        "CD33": _hit(tables, "CD33", stem),
        "FLT3": _hit(tables, "FLT3", stem),
        "CLEC12A": _hit(tables, "CLEC12A", "myeloid_neutropenia_infection"),
    }
    own = tables.evidence[tables.evidence["tier_label"] == "haematopoietic stem cell"]
    stem_cells = own.set_index("antigen")["fraction_expressing"]
    least = stem_cells.idxmin()
    ok = best < compared and all(told.values()) and least == "CLEC12A"
    figure = f"best {best:.3f} against {compared:.3f}; told {told}; least in stem cells: {least}"
    return bool(ok), figure


def _hit(tables: ScoreTables, antigen: str, name: str) -> bool:
    row = tables.toxicity[
        (tables.toxicity["antigen"] == antigen) & (tables.toxicity["toxicity_class"] == name)
    ].iloc[0]
    return bool(row["verdict"] in ("concern", "possible") or (row["gap_penalty"] or 0) > 0)


def _lupus(case: Case) -> dict[str, pd.DataFrame]:
    asked = indication(
        panel=("CD19", "TNFRSF17"),
        disease={"id": "MONDO:0007915", "label": "lupus"},
        normal_counterpart=None,
        tolerated={"cell_types": B_LINEAGE},
    )
    kinds = {"B": ("naive B", "memory B"), "plasma": ("normal plasma cell",)}
    return {
        name: case.score(f"lupus {name}", diseased=k, asked=asked).components.set_index("antigen")
        for name, k in kinds.items()
    }


def autoimmune_order(case: Case) -> Result:
    b, plasma = (t["fraction_expressing"] for t in _lupus(case).values())
    ok = b["CD19"] > plasma["CD19"] and plasma["TNFRSF17"] > b["TNFRSF17"]
    figure = f"CD19 {b['CD19']:.2f} and {plasma['CD19']:.2f}"
    return bool(ok), f"{figure}, TNFRSF17 {b['TNFRSF17']:.2f} and {plasma['TNFRSF17']:.2f}"


def autoimmune_level(case: Case) -> Result:
    own = _lupus(case)["B"].loc["CD19"]
    figure = f"{own['fraction_expressing']:.2f}, truth 0.60; "
    figure += f"dropout corrected in {own['n_identifiable']} of {own['n_patients']} patients"
    return bool(own["fraction_expressing"] > 0.5), figure


Check = Callable[..., Result]
CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("1", "BCMA and GPRC5D among the first three of six", top_three),
    ("1", "FCRL5 among the first five", fcrl5),
    ("2", "BCMA very highly shed, and above CD38, SDC1, CD19", bcma_is_shed_and_high),
    ("3", "highest non-tolerated cell of BCMA is the pDC", bcma_worst_is_pdc),
    ("3", "BCMA as on normal plasma cells", bcma_like_its_counterpart),
    ("4", "GPRC5D above normal plasma cells", gprc5d_above_its_counterpart),
    ("4", "GPRC5D without skin: gaps listed, safety lower", gprc5d_without_skin),
    ("4", "GPRC5D with hair follicle: concern", gprc5d_with_skin),
    ("5", "SLAMF7 coverage among the highest", slamf7_coverage),
    ("5", "SLAMF7 concerns: T cells and NK", slamf7_classes),
    ("5", "SLAMF7 below BCMA and GPRC5D", slamf7_below),
    ("6", "CD38: stem cells, erythrocyte, prior therapy", cd38),
    ("6", "CD38: concern in NK cells and pDC", cd38_beside),
    ("7", "SDC1: shed, epithelia of concern", sdc1_epithelia),
    ("7", "SDC1: sorted cells have no coverage", sdc1_sorted),
    ("7", "SDC1: marrow only shows the gap", sdc1_marrow_only),
    ("8", "CD19 on few tumour cells", cd19_low),
    ("8", "CD19: B cells higher, brain mural told", cd19_normal_cells),
    ("9", "CD19 adds less than 5 points to BCMA", or_gain),
    ("10", "decoys pass RNA, not the surface", decoys),
    ("11", "names", names),
    ("12", "deleting a reported group never helps", deleting_never_helps),
    ("13", "one donor ten times", repeated_donor),
    ("14", "half the counts: antigens identifiable in all patients", half_the_counts_of_genes),
    ("14", "half the counts: each identifiable patient", half_the_counts),
    ("15", "B-ALL: CD19 and CD22", b_all),
    ("15", "AML: worse than myeloma, organs told", aml),
    ("16", "lupus: CD19 more on B cells, BCMA more on plasma cells", autoimmune_order),
    ("16", "lupus: CD19 on most B cells", autoimmune_level),
    ("C8", "min(BCMA, GPRC5D) > SLAMF7 > CD38, CD19, SDC1", order_of_six),
)
# those whose answer may differ with the atlas: tried on all three
BY_ATLAS = (top_three, fcrl5, bcma_is_shed_and_high, slamf7_below, cd19_low, order_of_six)
# those that fail in the demonstration's world: what in it makes them fail
BY_DEPARTURE = (
    order_of_six,
    cd38_beside,
    repeated_donor,
    half_the_counts_of_genes,
    half_the_counts,
    autoimmune_level,
)
__all__ = ["BY_ATLAS", "BY_DEPARTURE", "CHECKS", "TUMOUR", "Case", "Check"]
