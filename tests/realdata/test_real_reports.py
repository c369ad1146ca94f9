"""What the workflow says about real patients, and what it refuses to say."""

import re

import pandas as pd
import pytest
import yaml

from targetscore.checks import check_run
from targetscore.config import load_run, read_yaml
from targetscore.contracts import COVERAGE, EVIDENCE, RANKING
from targetscore.errors import TargetscoreError
from targetscore.io import read_json, read_table

pytestmark = [pytest.mark.realdata, pytest.mark.workflow, pytest.mark.xdist_group("realdata")]

PANEL = {"CD33", "IL3RA", "CLEC12A", "FLT3", "CD38", "CSF1R", "CD86", "CD70", "FCRL5"}
PANEL |= {"TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "SDC1"}
MARROW = "UBERON:0002371"


def scores(real_run, indication: str, contract) -> pd.DataFrame:
    folder = real_run[0] / "results/score" / indication
    table = read_table(folder / f"{contract.name.split('/')[1]}.parquet", contract)
    return table.astype({c: str for c in ("antigen", "verdict", "status") if c in table})


def text_of(real_run, indication: str) -> str:
    page = (real_run[0] / f"results/report/{indication}.html").read_text()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


def test_aml_scores_the_panel_against_three_donors_marrow(real_run):
    evidence = scores(real_run, "aml_van_galen", EVIDENCE)
    assert set(evidence["antigen"]) == PANEL
    measured = evidence[evidence["n_cells"] > 0]
    assert set(measured["tissue_id"]) == {MARROW}
    assert measured["n_donors"].max() == 3
    # Patients' normal cells are no healthy evidence: the marrow donors have 939 cells.
    assert measured[measured["antigen"] == "CD33"]["n_cells"].sum() == 939


def test_aml_says_that_everything_outside_marrow_is_not_assessed(real_run):
    evidence = scores(real_run, "aml_van_galen", EVIDENCE)
    elsewhere = evidence[evidence["n_cells"] == 0]
    assert set(elsewhere["verdict"]) <= {"not_assessed", "not_assessable_by_RNA"}
    for organ in ("hepatocyte", "cardiac muscle cell", "neuron", "keratinocyte"):
        assert (elsewhere["cell_type"] == organ).any(), organ
    text = text_of(real_run, "aml_van_galen")
    assert "Healthy cells were assessed in 1 tissue: bone marrow. Everything outside it is" in text
    assert "not assessed" in text
    assert "safe" not in re.findall(r"\b\w+\b", text.lower())


def test_aml_names_the_concerns_that_are_known(real_run):
    evidence = scores(real_run, "aml_van_galen", EVIDENCE)
    concern = evidence[evidence["verdict"] == "concern"]
    types = concern.groupby("antigen")["cell_type"].agg(set)
    assert "hematopoietic stem cell" in types["FLT3"]
    assert "promonocyte" in types["CD33"]
    assert "monocyte" in types["CLEC12A"]
    assert "hematopoietic stem cell" in types["CD38"]
    assert "plasmacytoid dendritic cell" in types["IL3RA"]
    # CD33 RNA is low in monocytes: the upper bound reaches the alert, so it is never clear.
    monocytes = evidence[(evidence["antigen"] == "CD33") & (evidence["cell_type"] == "monocyte")]
    assert set(monocytes["verdict"]) == {"possible"}


def test_aml_patients_without_malignant_calls_are_named_not_scored(real_run):
    coverage = scores(real_run, "aml_van_galen", COVERAGE)
    assert coverage["donor"].nunique() == 8
    summary = read_json(real_run[0] / "results/ingest/aml_van_galen/summary.json")
    assert summary["donors_without_diseased_cells"] == ["AML314", "AML371", "AML722B", "AML997"]
    assert summary["rejected"] == {"malignancy_unclear": 907}
    text = text_of(real_run, "aml_van_galen")
    for donor in summary["donors_without_diseased_cells"]:
        assert donor in text, donor


def test_one_patient_and_one_donor_are_not_enough_to_rank(real_run):
    ranking = scores(real_run, "malt_lymphoma", RANKING)
    assert set(ranking["status"]) == {"incomplete"}
    assert ranking["rank"].isna().all()
    assert set(ranking["evidence_grade"].astype(str)) == {"D"}
    by = ranking.set_index("antigen")
    assert by.loc["GPRC5D", "reason"] == "not measured in the healthy atlases"
    assert "at least 3 donors" in by.loc["CD19", "reason"]
    assert pd.isna(by.loc["GPRC5D", "safety_score"])
    assert by.loc["MS4A1", "fraction_expressing"] > 0.9
    assert "No antigen could be ranked" in text_of(real_run, "malt_lymphoma")


def test_sorted_blood_is_one_donor_and_never_clear(real_run):
    evidence = scores(real_run, "malt_lymphoma", EVIDENCE)
    assert evidence["n_donors"].max() == 1
    assert "clear" not in set(evidence["verdict"])
    # GPRC5D is absent from the file: not measured, which is not zero.
    blood = evidence[(evidence["antigen"] == "GPRC5D") & (evidence["tissue"] == "blood")]
    assert {"not_measured"} <= set(blood["verdict"])
    assert blood.loc[blood["verdict"] == "not_measured", "fraction_expressing"].isna().all()


def test_folder_without_labels_says_how_to_add_them(realdata, project, monkeypatch):
    monkeypatch.setenv("TARGETSCORE_REALDATA", str(realdata))
    rows = pd.read_csv("tests/realdata/atlases.tsv", sep="\t", dtype=str).fillna("")
    bare = rows[rows["atlas"] != "aml_van_galen"].copy()
    columns = ["cell_labels", "donor", "tissue", "disease"]
    bare.loc[bare["atlas"] == "malt_lymphoma", columns] = ""
    bare.to_csv("bare.tsv", sep="\t", index=False)
    config = read_yaml("tests/realdata/config.yaml") | {
        "indications": ["malt_lymphoma"],
        "registries": ["bare.tsv"],
    }
    (project / "bare.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(TargetscoreError) as caught:
        check_run(load_run(read_yaml("bare.yaml"), "bare.yaml"))
    message = str(caught.value)
    assert message.count("this format holds barcodes only") == 4
    assert "write a TSV with the columns cell, donor, tissue, cell_type, disease" in message
    assert "AGACCCGAGTCTGCGC-1" in message
    assert "cell_labels" in message
