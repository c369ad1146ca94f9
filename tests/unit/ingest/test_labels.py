"""Who is who: populations, rejections with their reason, and errors that say what to do."""

import numpy as np
import pandas as pd
import pytest

from targetscore.contracts import CELLS, GENES, REJECTED
from targetscore.errors import AtlasError, TargetscoreError
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas

MYELOMA = {"malignancy": "malignancy", "lineage": "plasma cell"}


@pytest.fixture
def ingest(atlas_row, repository):
    genes = load_genes(str(repository / "config" / "knowledge"))

    def run(path, **fields):
        return ingest_atlas(atlas_row(**fields), str(path), genes, "atlases.tsv")

    return run


def test_populations_and_contracts(ingest, write_h5ad):
    found = ingest(write_h5ad(), **MYELOMA)
    for table, contract in (
        (found.cells, CELLS),
        (found.rejected, REJECTED),
        (found.genes, GENES),
    ):
        contract.check(table, contract.name)
    by_cell = found.cells.set_index("cell")["population"].to_dict()
    assert by_cell["cell0"] == "diseased"
    assert by_cell["cell1"] == "microenvironment"
    assert by_cell["cell2"] == "normal_counterpart"
    assert by_cell["cell3"] == "microenvironment"
    assert by_cell["cell6"] == "healthy"
    assert found.rejected["reason"].tolist() == ["malignancy_unclear"]
    assert found.summary["rejected"] == {"malignancy_unclear": 1}
    assert found.summary["n_cells_kept"] == 11
    assert found.summary["malignancy_method"] == "annotation"


def test_healthy_cells_never_become_diseased(ingest, write_h5ad, obs):
    obs["malignancy"] = "malignant"
    cells = ingest(write_h5ad(obs=obs), **MYELOMA).cells
    assert set(cells.loc[cells["donor"] == "H1", "population"]) == {"healthy"}


def test_lineage_as_disease_and_unseparated(ingest, write_h5ad):
    for malignancy, method in (("=lineage", "lineage"), ("", "unseparated")):
        found = ingest(write_h5ad(), malignancy=malignancy, lineage="lymphocyte of B lineage")
        patients = found.cells[found.cells["donor"] == "P1"]
        assert set(patients.loc[patients["cell_type"] == "plasma cell", "population"]) == {
            "diseased"
        }
        assert found.summary["malignancy_method"] == method


def test_patients_without_any_call_are_refused(ingest, write_h5ad):
    with pytest.raises(AtlasError, match="nothing says which are diseased"):
        ingest(write_h5ad())


def test_healthy_atlas_needs_no_calls(ingest, write_h5ad, obs):
    found = ingest(write_h5ad(obs=obs.assign(disease="PATO:0000461")))
    assert set(found.cells["population"]) == {"healthy"}
    assert found.summary["malignancy_method"] == "none"


def test_only_exact_normal_is_healthy(ingest, write_h5ad, obs):
    obs["disease"] = "remission"
    cells = ingest(write_h5ad(obs=obs), **MYELOMA).cells
    assert "healthy" not in set(cells["population"])


def test_all_missing_columns_at_once(ingest, write_h5ad, obs):
    bare = obs.drop(columns=["donor_id", "tissue"])
    with pytest.raises(AtlasError) as caught:
        ingest(write_h5ad(obs=bare), cell_type="celltype", **MYELOMA)
    message = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "did you mean 'cell_type'?" in message
    assert "=value" in message


def test_constants_fill_what_a_file_lacks(ingest, write_h5ad, obs):
    path = write_h5ad(obs=obs.drop(columns=["donor_id", "tissue"]))
    cells = ingest(path, donor="=D1", tissue="=blood", **MYELOMA).cells
    assert set(cells["donor"]) == {"D1"}
    assert set(cells["tissue_id"]) == {"UBERON:0000178"}


@pytest.mark.parametrize("column", ["donor_id", "cell_type", "tissue", "disease"])
def test_label_column_with_nan(ingest, write_h5ad, obs, column):
    obs[column] = obs[column].astype(object)
    obs.loc["cell7", column] = np.nan
    with pytest.raises(AtlasError, match=r"1 of 12 cells have no .*cell7"):
        ingest(write_h5ad(obs=obs), **MYELOMA)


def test_repeated_barcodes(ingest, write_h5ad, obs):
    obs.index = ["cell0", *obs.index[:-1]]
    with pytest.raises(AtlasError, match=r"1 barcodes repeat, for example cell0\n.*unique"):
        ingest(write_h5ad(obs=obs), **MYELOMA)


def test_unknown_malignancy_words(ingest, write_h5ad, obs):
    obs["malignancy"] = "clone 1"
    with pytest.raises(AtlasError, match="not understood: clone 1"):
        ingest(write_h5ad(obs=obs), **MYELOMA)


def test_unknown_donor_type_and_secondary_data_are_rejected_with_reason(ingest, write_h5ad, obs):
    obs["donor_id"] = ["P1"] * 5 + ["pooled"] + ["H1"] * 6
    obs["cell_type"] = [*obs["cell_type"][:-1], "unknown"]
    obs["is_primary_data"] = [True] * 10 + [False, True]
    rejected = ingest(write_h5ad(obs=obs), **MYELOMA).rejected.set_index("cell")["reason"]
    assert rejected["cell5"] == "donor_unknown"
    assert rejected["cell11"] == "cell_type_unknown"
    assert rejected["cell10"] == "not_primary_data"


def test_no_cell_left_is_an_error(ingest, write_h5ad, obs):
    with pytest.raises(AtlasError, match="no cell is left"):
        ingest(write_h5ad(obs=obs.assign(donor_id="unknown")), **MYELOMA)


def test_labels_for_a_format_without_labels(ingest, write_tenx, tmp_path):
    folder = write_tenx()
    with pytest.raises(AtlasError) as caught:
        ingest(folder, format="tenx_mtx", **MYELOMA)
    assert "write a TSV with the columns cell, donor, tissue, cell_type, disease" in str(
        caught.value
    )
    table = tmp_path / "labels.tsv"
    lines = [f"cell{i}\tD{i % 2}\tblood\tB cell\tnormal\n" for i in range(12)]
    table.write_text("cell\tdonor\ttissue\tcell_type\tdisease\n" + "".join(lines))
    found = ingest(folder, format="tenx_mtx", cell_labels=str(table))
    assert found.cells["donor"].nunique() == 2


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("cell\tdonor\ncell0\tA\n", "11 of 12 cells have no line"),
        ("cell\tdonor\ncell0\tA\ncell0\tB\n", "values repeat: cell0"),
        ("barcode\tdonor\ncell0\tA\n", "'barcode' is no column of the cells"),
    ],
)
def test_label_tables_that_do_not_fit(ingest, write_tenx, tmp_path, text, wrong):
    (tmp_path / "labels.tsv").write_text(text)
    with pytest.raises(AtlasError, match=wrong):
        ingest(write_tenx(), format="tenx_mtx", cell_labels=str(tmp_path / "labels.tsv"))


def test_label_map_and_unmapped_labels(ingest, write_h5ad, obs, tmp_path):
    obs["cell_type"] = ["PC", "<b>odd</b>"] * 6
    table = tmp_path / "map.tsv"
    table.write_text("label\tcell_type_ontology_term_id\nPC\tplasma cell\n")
    found = ingest(write_h5ad(obs=obs), label_map=str(table), **MYELOMA)
    assert set(found.cells["cell_type_id"]) == {"CL:0000786", "label:<b>odd</b>"}
    assert found.summary["unmapped_cell_types"] == [
        {"label": "<b>odd</b>", "n_cells": 6, "near": []}
    ]
    table.write_text("label\tcell_type_ontology_term_id\nPC\tplasma cel\n")
    with pytest.raises(AtlasError, match="names that look alike: plasma cell"):
        ingest(write_h5ad(obs=obs), label_map=str(table), **MYELOMA)


def test_unknown_lineage_offers_near_matches(ingest, write_h5ad):
    with pytest.raises(AtlasError, match="plasma cell"):
        ingest(write_h5ad(), malignancy="malignancy", lineage="plasma cel")


def test_mouse_atlas_is_refused(ingest, write_h5ad, counts, obs):
    import anndata as ad

    path = write_h5ad()
    data = ad.read_h5ad(path)
    data.var_names = ["Cd19", "Sdc1", "Cd38", "Gprc5d", "Actb", "Gapdh", "Ptprc"]
    del data.var["feature_name"]
    data.write_h5ad(path)
    with pytest.raises(AtlasError, match="not human"):
        ingest(path, **MYELOMA)


def test_order_of_cells_does_not_matter(ingest, write_h5ad, obs, counts):
    import scipy.sparse as sp

    order = np.random.default_rng(1).permutation(len(obs))
    one = ingest(write_h5ad(), **MYELOMA).cells
    other = ingest(
        write_h5ad("b.h5ad", X=sp.csr_matrix(counts[order]), obs=obs.iloc[order]), **MYELOMA
    ).cells
    columns = [c for c in one.columns if c != "row"]
    pd.testing.assert_frame_equal(
        one.sort_values("cell")[columns].reset_index(drop=True),
        other.sort_values("cell")[columns].reset_index(drop=True),
    )


def test_errors_are_ours(ingest, tmp_path):
    with pytest.raises(TargetscoreError):
        ingest(tmp_path / "nothing.h5ad")


def test_unmapped_labels_come_with_their_cells_and_near_names(ingest, write_h5ad, obs):
    obs["cell_type"] = ["plasma cel", *["T cells"] * 5, *["natural_killer_cell"] * 6]
    obs["tissue"] = ["bone maro", *["BM"] * 11]
    found = ingest(write_h5ad(obs=obs), **MYELOMA)
    (cell_type,) = found.summary["unmapped_cell_types"]
    assert (cell_type["label"], cell_type["n_cells"]) == ("plasma cel", 1)
    assert cell_type["near"][0] == "plasma cell"
    (tissue,) = found.summary["unmapped_tissues"]
    assert tissue["near"][0] == "bone marrow"
    assert set(found.cells["cell_type"]) >= {"T cell", "natural killer cell", "plasma cel"}


def test_calls_that_contradict_other_labels_are_told(ingest, write_h5ad, obs):
    assert ingest(write_h5ad(), **MYELOMA).summary["reading"] == []
    obs["malignancy"] = "malignant"  # T cells too, and the healthy donor's cells
    obs.loc["cell6", "donor_id"] = "P1"  # normal beside the tumour
    found = ingest(write_h5ad(obs=obs), **MYELOMA)
    healthy, outside, both = found.summary["reading"]
    assert healthy.startswith("6 cells called malignant are of donors whose disease is normal")
    assert outside.startswith("3 cells called malignant are of cell types outside the lineage")
    assert both.startswith("donors with cells of disease normal beside others: P1:")
    assert "6 cells called malignant" in found.summary["note"], "the report says it too"
