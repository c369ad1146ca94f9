"""The curated tables load, refuse every kind of defect, and reproduce the published scores."""

from __future__ import annotations

import shutil
from math import isnan, prod
from pathlib import Path

import pandas as pd
import pytest

from targetscore import ontology
from targetscore.errors import KnowledgeError
from targetscore.genes import is_masked, load_genes
from targetscore.knowledge import TABLES, Knowledge, load_knowledge

FOLDER = Path(__file__).parents[2] / "config" / "knowledge"
REQUIRED = [(n, f.name) for n, t in TABLES.items() for f in t.fields if f.required]

# Restated: surface confidence and shedding score (low, mid, high) of the six first antigens.
EXPECTED = {
    "TNFRSF17": (0.997, 94.4, 94.4, 94.4),
    "SLAMF7": (0.999, 26.7, 37.8, 71.1),
    "GPRC5D": (0.984, 1.1, 2.3, 5.0),
    "CD19": (0.999, 16.7, 26.4, 55.6),
    "CD38": (0.996, 24.4, 24.4, 24.4),
    "SDC1": (0.867, 92.2, 92.2, 92.2),
}
# Restated: organs in which a clinical or strong preclinical on-target effect was seen.
TOXICITY = {
    "ERBB2": "pulmonary",
    "CA9": "biliary",
    "CEACAM5": "gastrointestinal pulmonary",
    "CD19": "neurotoxicity_vascular_BBB B_lineage_aplasia",
    "TNFRSF17": "B_lineage_aplasia neurotoxicity_parenchymal",
    "GPRC5D": "skin_hair_nail oral_taste neurotoxicity_parenchymal",
    "SLAMF7": "T_cell_fratricide_immunodeficiency NK_infection",
    "CD38": "haematopoietic_stem_cytopenia",
    "CD33": "haematopoietic_stem_cytopenia",
    "IL3RA": "endothelial_capillary_leak haematopoietic_stem_cytopenia",
    "CLEC12A": "myeloid_neutropenia_infection",
    "CD7": "T_cell_fratricide_immunodeficiency",
    "SDC1": "skin_hair_nail hepatic gastrointestinal",
    "CLDN18": "gastrointestinal",
    "DLL3": "oral_taste",
    "CD93": "endothelial_capillary_leak",
}
# Restated: cells that every report on the antigen has to discuss.
MUST_CHECK = {
    "GPRC5D": ["hair follicle cell", "nail matrix", "inferior olivary neuron"],
    "TNFRSF17": ["medium spiny / caudate neuron", "astrocyte", "plasmacytoid dendritic cell"],
    "CD19": ["mural cell", "follicular dendritic cell"],
    "CD38": ["haematopoietic precursor", "erythrocyte", "NK cell", "beta cell"],
    "SDC1": ["keratinocyte", "hepatocyte", "cholangiocyte", "salivary gland"],
    "SLAMF7": ["NK cell", "CD8 T cell", "CD4 T cell", "mature B cell", "monocyte"],
}


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return load_knowledge(str(FOLDER))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "knowledge"))


def edit(folder: Path, table: str, row: int, column: str, value: str) -> None:
    """Set one field of a table; rows count from 1 below the header."""
    path = folder / f"{table}.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    head = next(n for n, text in enumerate(lines) if not text.startswith("#"))
    fields = lines[head + row].split("\t")
    fields[lines[head].split("\t").index(column)] = value
    lines[head + row] = "\t".join(fields)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def refused(folder: Path, table: str) -> str:
    with pytest.raises(KnowledgeError) as error:
        load_knowledge(str(folder))
    for problem in error.value.problems:
        assert problem.remedy
    (problem,) = [p for p in error.value.problems if p.file == str(folder / f"{table}.tsv")]
    return str(problem)


def test_committed_tables_are_typed_and_complete(knowledge):
    for name, table in TABLES.items():
        frame = getattr(knowledge, name)
        assert list(frame.columns) == [f.name for f in table.fields]
        assert len(frame)
        for field in table.fields:
            if field.number:
                assert frame[field.name].dtype == "float64", (name, field.name)
            else:
                assert frame[field.name].map(type).eq(str).all(), (name, field.name)
    assert len(knowledge.antigens) == 54
    assert set(knowledge.antigens.symbol) <= set(knowledge.surface.symbol)
    assert isnan(knowledge.surface.set_index("symbol").surfy_score["CA9"])


@pytest.mark.parametrize(("table", "column"), REQUIRED)
def test_an_empty_required_field_is_refused(folder, table, column):
    edit(folder, table, 1, column, "")
    with pytest.raises(KnowledgeError) as error:
        load_knowledge(str(folder))
    mine = [p for p in error.value.problems if p.file.endswith(f"{table}.tsv")]
    assert [p for p in mine if p.wrong == "is empty" and f", {column}" in p.place and p.remedy]


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "place", "wrong", "remedy"),
    [
        ("genes", 1, "ensembl_gene_id", "ENSG48462", "row 1 (TNFRSF17)", "well formed", "ENSG000"),
        ("genes", 1, "hgnc_id", "11913", "row 1 (TNFRSF17), hgnc_id", "well formed", "HGNC:11913"),
        ("genes", 2, "ambiguous_aliases", "CS1", "row 2 (SLAMF7)", "well formed", "CS1:ITPRID2"),
        ("genes", 2, "ambiguous_aliases", "CS1:A/B", "row 2 (SLAMF7)", "SLAMF7 itself", "CS1:"),
        ("genes", 4, "aliases", "TNFRSF17", "row 4 (CD19), aliases", "approved symbol", "remove"),
        ("genes", 4, "aliases", "CD138", "row 6 (SDC1), aliases", "more than one", "ambiguous_al"),
        ("genes", 4, "aliases", "CS1", "row 4 (CD19), aliases", "more than one", "ambiguous_al"),
        ("genes", 2, "ensembl_gene_id", "ENSG00000048462", "row 2", "TNFRSF17 already", "own id"),
        ("antigens", 1, "status", "verifed", "row 1 (TNFRSF17)", "unknown value", "'verified'?"),
        ("antigens", 1, "symbol", "TNFSRF17", "row 1", "not in genes.tsv", "mean TNFRSF17"),
        ("surface", 1, "surfy_score", "1.2", "row 1", "not a number", "correct"),
        ("surface", 1, "surfy_score", "nan", "row 1", "not a number", "correct"),
        ("surface", 1, "uniprot", "2", "row 1", "unknown value '2'", "allowed: 0, 1"),
        ("shedding", 1, "value", "high", "row 1 (TNFRSF17, mechanism)", "unknown mech", "direct_d"),
        ("shedding", 2, "item", "mechanism", "mechanism), symbol+item", "repeats row 1", "one of"),
        ("sheddases", 1, "enzyme", "PSEN9", "row 1", "'PSEN9' is not in genes.tsv", "add it"),
        ("tiers", 1, "weight", "-0.1", "row 1 (1), weight", "not a number from 0 to 1", "correct"),
        ("tissue_tiers", 1, "cell_type_id", "CL:786", "row 1", "well formed", "CL:0000786"),
        ("tissue_tiers", 1, "cell_type_id", "CL:9999999", "row 1", "current term of CL", "look"),
        ("tissue_tiers", 1, "tissue_id", "UBERON:9999999", "row 1", "current term of UB", "look"),
        ("tissue_tiers", 1, "toxicity_class", "skin (nail)", "row 1", "well formed", "skin_hair"),
        ("tissue_tiers", 1, "tier", "5", "row 1", "unknown value '5'", "allowed: 1, 2, 3, 4"),
        ("healthy_literature", 1, "tier_label", "plasma", "row 1", "not in tissue_tiers", "plasma"),
        (
            "tissue_tiers",
            1,
            "tier_by_disease",
            "MONDO:9=2",
            "row 1",
            "well formed",
            "MONDO:0009693",
        ),
        ("tissue_tiers", 1, "tier_by_disease", "MONDO:9999999=2", "row 1", "term of MONDO", "look"),
        ("tissue_tiers", 1, "tier_by_disease", "MONDO:0009693=5", "row 1", "well formed", "=2"),
        ("outcomes", 1, "disease_id", "MONDO:9999999", "row 1", "term of MONDO", "look"),
        ("outcomes", 1, "symbol", "TNFSRF17", "row 1", "not in genes.tsv", "mean TNFRSF17"),
        ("outcomes", 1, "kind", "postive", "row 1", "unknown value", "'positive'?"),
        ("outcomes", 1, "toxicity_class", "lung", "row 1", "not in tissue_tiers.tsv", "add it"),
    ],
)
def test_a_wrong_field_is_refused_with_place_and_remedy(
    folder, table, row, column, value, place, wrong, remedy
):
    edit(folder, table, row, column, value)
    with pytest.raises(KnowledgeError) as error:
        load_knowledge(str(folder))
    path = str(folder / f"{table}.tsv")
    assert [
        p
        for p in error.value.problems
        if p.file == path and place in p.place and wrong in p.wrong and remedy in p.remedy
    ], str(error.value)


def test_a_row_without_any_place_to_look_is_refused(folder):
    labels = load_knowledge(str(FOLDER)).tissue_tiers.label.tolist()
    edit(folder, "tissue_tiers", labels.index("nail matrix") + 1, "tissue_required", "no")
    message = refused(folder, "tissue_tiers")
    assert "nail matrix" in message
    assert "give a cell type" in message


def test_missing_and_unknown_columns_are_refused(folder):
    path = folder / "typos.tsv"
    path.write_text(path.read_text().replace("\tsource\t", "\tsourse\t"))
    assert "source: the column is missing" in refused(folder, "typos")
    path.write_text("typo\tsymbol\tsource\tstatus\tnote\nA\tCD19\tx\tdesign\ty\n")
    assert "note: unknown column" in refused(folder, "typos")


def test_a_missing_table_is_refused(folder):
    (folder / "tiers.tsv").unlink()
    assert "cannot be read" in refused(folder, "tiers")


def test_all_problems_are_named_at_once(folder):
    edit(folder, "genes", 1, "hgnc_id", "x")
    edit(folder, "clinical", 2, "source", "")
    edit(folder, "tissue_tiers", 3, "assessable", "by eye")
    with pytest.raises(KnowledgeError) as error:
        load_knowledge(str(folder))
    assert [Path(p.file).stem for p in error.value.problems] == [
        "genes",
        "clinical",
        "tissue_tiers",
    ]


def test_hostile_text_is_shown_without_control_characters(folder):
    edit(folder, "clinical", 1, "kind", "\x1b[31mred\x07")
    assert "\x1b" not in refused(folder, "clinical")


def test_labels_are_those_of_the_ontologies(knowledge):
    for row in knowledge.tissue_tiers.itertuples():
        if row.cell_type_id:
            assert ontology.label(row.cell_type_id) == row.cell_type
        if row.tissue_id:
            assert ontology.label(row.tissue_id) == row.tissue


def test_a_mural_cell_of_the_lung_is_none_of_the_brain(knowledge):
    rows = knowledge.tissue_tiers.set_index("label")
    assert rows.tissue_required["mural cell"] == "yes"
    assert rows.tissue_required["T cell"] == "no"
    assert not ontology.is_a("UBERON:0002048", [rows.tissue_id["mural cell"]])
    assert rows.tier["haematopoietic stem cell"] == 1
    assert rows.tier_with_rescue["haematopoietic stem cell"] == 2
    assert rows.tier_with_rescue.dropna().eq(2).all()


@pytest.mark.parametrize("antigen", EXPECTED)
def test_surface_confidence_is_reproduced(knowledge, antigen):
    row = knowledge.surface.set_index("symbol").loc[antigen]
    doubts = [
        1 - {"binder": 0.95, "tce": 0.8, "none": 0}[row.clinical_binder],
        1 - {"high": 0.85, "putative": 0.5, "none": 0}[row.cspa],
        1 - 0.35 * row.uniprot,
        1 - {"experimental": 0.6, "other": 0.35, "none": 0}[row.go],
        1 - 0.6 * row.hpa,
        1 - 0.6 * (0 if isnan(row.surfy_score) else row.surfy_score),
    ]
    assert 1 - prod(doubts) == pytest.approx(EXPECTED[antigen][0], abs=5.1e-4)


def shed_points(item: str, value: str, ectodomain: float, multi: bool) -> tuple[float, ...]:
    """Return low, middle and high points of one item (C5)."""
    known = {
        "mechanism": {"direct_disease": 35, "direct_other": 28, "family": 12}
        | {"none_reported": 0 if multi else 3},
        "soluble": {"high": 35, "moderate": 22, "minority": 14, "baseline": 7, "absent": 0},
        "isoform": {"isoform": 5, "ev": 2, "none": 0},
    }
    if item == "topology":
        anchor, _, stalk = value.partition(";")
        length = 15 if ectodomain <= 100 else 10 if ectodomain <= 300 else 9
        points = {"single_pass": length, "gpi": 12, "multi_pass": 1}[anchor]
        return (min(15, points + 3 * bool(stalk)),) * 3
    if value in known[item]:
        return (known[item][value],) * 3
    most = 5 if item == "isoform" else 35
    if multi and item == "soluble":
        return 0, 0.03 * most, 0.1 * most
    return 0, 0.25 * most, most


@pytest.mark.parametrize("antigen", EXPECTED)
def test_shedding_scores_are_reproduced(knowledge, antigen):
    items = knowledge.shedding[knowledge.shedding.symbol == antigen].set_index("item").value
    length = knowledge.surface.set_index("symbol").ectodomain_aa[antigen]
    multi = items["topology"] == "multi_pass"
    points = [shed_points(item, value, length, multi) for item, value in items.items()]
    assert len(points) == 4
    score = [100 * sum(p) / 90 for p in zip(*points, strict=True)]
    assert score == pytest.approx(EXPECTED[antigen][1:], abs=0.051)


def classes_of(knowledge: Knowledge) -> pd.Series:
    merged = knowledge.healthy_literature.merge(
        knowledge.tissue_tiers, left_on="tier_label", right_on="label"
    )
    return merged.groupby("symbol").toxicity_class.agg(set)


def test_literature_holds_every_known_toxicity_and_must_check(knowledge):
    found = classes_of(knowledge)
    for symbol, classes in TOXICITY.items():
        assert set(classes.split()) <= found[symbol], symbol
    must = knowledge.healthy_literature.query("must_check == 'yes'")
    for symbol, labels in MUST_CHECK.items():
        assert set(labels) <= set(must.tier_label[must.symbol == symbol]), symbol


def test_contested_findings_are_contested(knowledge):
    strength = knowledge.healthy_literature.set_index(["symbol", "tier_label"]).strength
    assert strength["TNFRSF17", "medium spiny / caudate neuron"] == "contested"
    assert strength["GPRC5D", "inferior olivary neuron"] == "contested"
    assert strength["CD19", "mural cell"] == "contested"
    assert strength["GPRC5D", "hair follicle cell"] == "strong"
    assert strength["CD38", "haematopoietic precursor"] == "strong"


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BCMA", "TNFRSF17"),
        ("BCM1", "CD48"),
        ("CD138", "SDC1"),
        ("GPCR5D", "GPRC5D"),
        ("IGJ", "JCHAIN"),
        ("HER2", "ERBB2"),
        ("ENSG00000048462.12", "TNFRSF17"),
        ("ENSG00000185291_PAR_Y", "IL3RA"),
    ],
)
def test_names_lead_to_their_gene(name, symbol):
    found = load_genes(str(FOLDER)).find(name)
    assert found is not None
    assert found.symbol == symbol


@pytest.mark.parametrize(
    ("name", "symbols"),
    [
        ("CS1", ["ITPRID2", "SLAMF7"]),
        ("CD20", ["KRT20", "MS4A1"]),
        ("CLL1", ["CLEC12A", "COLEC10"]),
        ("B4", ["CD19", "LILRB4"]),
        ("CD97", ["ADGRE2", "ADGRE5"]),
        ("CEA", ["CEACAM3", "CEACAM5", "PSG2"]),
        ("CD277", ["BTN3A1", "BTN3A2"]),
        ("PSM", ["FOLH1", "SH2B1"]),
    ],
)
def test_colliding_names_lead_to_no_gene(name, symbols):
    genes = load_genes(str(FOLDER))
    assert genes.find(name) is None
    assert genes.candidates(name) == symbols


def test_masked_genes_are_the_masked_families(knowledge):
    masked = {s for s in knowledge.genes.symbol if is_masked(s)}
    assert {"IGKC", "IGHG1", "JCHAIN", "MT-CO1", "RPL3", "RPSA"} <= masked
    assert masked.isdisjoint(knowledge.antigens.symbol[knowledge.antigens.role == "primary"])
    assert "MALAT1" not in masked


def test_outcomes_are_a_truth_a_ranking_can_be_held_against(knowledge):
    """Restated: who is positive in myeloma, which organ was hit, what the surface must refuse."""
    table = knowledge.outcomes
    myeloma = table[(table.disease_id == "MONDO:0009693") & table.evidence_level.isin(["A", "B"])]
    assert set(myeloma.symbol[myeloma.kind == "positive"]) == {"TNFRSF17", "GPRC5D", "FCRL5"}
    organs = table[table.toxicity_class != ""].groupby("symbol").toxicity_class.agg(set).to_dict()
    assert organs == {symbol: set(names.split()) for symbol, names in TOXICITY.items()}
    assert set(table.kind[table.toxicity_class != ""]) == {"toxic"}
    for kind in ("toxic", "nonsurface"):
        assert set(table.disease[table.kind == kind]) == {"any"}
    named = table[table.disease_id != ""].drop_duplicates("disease_id")
    assert named.disease.is_unique
    judged = table[table.kind.isin(["positive", "negative", "candidate"])]
    assert not judged.duplicated(["disease", "symbol"]).any()
    refused_by_surface = set(table.symbol[table.kind == "nonsurface"])
    assert not refused_by_surface & set(table.symbol[table.kind == "positive"])


def test_no_source_is_an_internal_document(knowledge):
    for name in TABLES:
        sources = getattr(knowledge, name)["source"].str.casefold()
        assert not sources.str.contains("seed|gold_standard|specification").any(), name


def test_targets_that_rna_cannot_show_say_why(knowledge):
    """CD44v6, CLDN18.2, GD2, active ITGB7 and the TEG target."""
    rows = knowledge.antigens.set_index("symbol")
    refused_by_rna = rows[rows.rna_scorable == "no"]
    assert {"CD44", "CLDN18", "B4GALNT1", "ITGB7", "BTN3A1"} <= set(refused_by_rna.index)
    assert (refused_by_rna.not_scorable_reason != "").all()
    assert (rows.not_scorable_reason[rows.rna_scorable == "yes"] == "").all()


def test_the_marrow_niche_is_dearer_in_marrow_disease(knowledge):
    rows = knowledge.tissue_tiers.set_index("label").tier_by_disease
    assert rows["mesenchymal stem cell"] == "MONDO:0009693=2|MONDO:0018874=2"
    assert (rows.drop("mesenchymal stem cell") == "").all()


def test_soluble_levels_that_can_be_compared_share_source_and_assay(knowledge):
    """Kits differ 5 to 10 fold: a number without its assay stands alone in its source."""
    table = knowledge.soluble_levels
    for (symbol, source), own in table.groupby(["symbol", "source"]):
        assert own.assay.nunique() == 1, (symbol, source)
        assert own.unit.nunique() == 1, (symbol, source)


@pytest.mark.parametrize("name", ["GD2", "CLDN18.2", "CD44v6", "TEG", "ITGB7"])
def test_targets_that_rna_cannot_show_are_known_by_name(name):
    """A near match such as CD2 for GD2 must never be offered instead."""
    found = load_genes(str(FOLDER)).resolve(name, "x.yaml", "candidates.panel")
    antigens = load_knowledge(str(FOLDER)).antigens.set_index("symbol")
    assert antigens.loc[found.symbol, "rna_scorable"] in (False, "no")
    assert antigens.loc[found.symbol, "not_scorable_reason"]
