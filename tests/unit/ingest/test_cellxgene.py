"""What CELLxGENE files get wrong if read as they look: one test per trap, on a valid layout.

The file is laid out by schema 7.0.0 (and, where told so, 5 and 6); ``make_valid`` is what the
publisher's validator was run on.
"""

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore import ontology
from targetscore.errors import AtlasError
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas

# Real genes of GENCODE v44, so that the publisher's validator accepts the file.
GENES = {
    "ENSG00000048462": "TNFRSF17",
    "ENSG00000177455": "CD19",
    "ENSG00000004468": "CD38",
    "ENSG00000115884": "SDC1",
    "ENSG00000026751": "SLAMF7",
    "ENSG00000111291": "GPRC5D",
}
N_CELLS = 24
MYELOMA = "MONDO:0009693"
COVID = "MONDO:0100096"
HUMAN = "NCBITaxon:9606"


def counts() -> np.ndarray:
    made = np.random.default_rng(7).poisson(2.0, (N_CELLS, len(GENES))).astype(np.float32)
    made[:, 0] += 1
    return made


def obs_of_schema_7() -> pd.DataFrame:
    n = N_CELLS
    half = n // 2
    columns = {
        "assay_ontology_term_id": ["EFO:0009922"] * n,
        "cell_type_ontology_term_id": ["CL:0000786", "CL:0000084"] * half,
        "development_stage_ontology_term_id": ["HsapDv:0000258"] * n,
        "disease_ontology_term_id": [MYELOMA] * half + ["PATO:0000461"] * half,
        "donor_id": ["P1"] * half + ["H1"] * half,
        "self_reported_ethnicity_ontology_term_id": ["unknown"] * n,
        "sex_ontology_term_id": ["PATO:0000384"] * n,
        "suspension_type": ["cell"] * n,
        "tissue_ontology_term_id": ["UBERON:0002371"] * n,
        "tissue_type": ["tissue"] * n,
    }
    obs = pd.DataFrame(columns, index=[f"cell{i}" for i in range(n)]).astype("category")
    obs["is_primary_data"] = True
    return obs


def make_valid(path: Path, obs: pd.DataFrame | None = None, organism: str | None = HUMAN) -> Path:
    """Write a file by schema 7.0.0: raw counts in raw.X, normalised ones in X."""
    obs = obs_of_schema_7() if obs is None else obs
    raw = sp.csr_matrix(counts())
    var = pd.DataFrame(index=list(GENES))
    normalised = raw.copy()
    normalised.data = np.log1p(normalised.data)
    dense = normalised.toarray()
    dense[:, 2] = 0  # the publisher left this gene out of X
    data = ad.AnnData(sp.csr_matrix(dense), obs=obs, var=var.assign(feature_is_filtered=False))
    data.var.loc["ENSG00000004468", "feature_is_filtered"] = True
    data.raw = ad.AnnData(raw, obs=obs[[]], var=var)
    data.uns["title"] = "simulated counts"
    data.obsm["X_umap"] = np.arange(2.0 * N_CELLS).reshape(N_CELLS, 2)
    if organism:
        data.uns["organism_ontology_term_id"] = organism
    data.write_h5ad(path)
    return path


@pytest.fixture
def ingest(atlas_row, repository, tmp_path) -> Callable:
    genes = load_genes(str(repository / "config" / "knowledge"))

    def run(obs: pd.DataFrame | None = None, organism: str | None = HUMAN, **fields: str):
        path = make_valid(tmp_path / "a.h5ad", obs, organism)
        row = atlas_row(**{"lineage": "plasma cell", **fields})
        return ingest_atlas(row, str(path), genes, "atlases.tsv")

    return run


def rejected(found) -> dict[str, int]:
    return found.summary["rejected"]


def some(column: pd.Series, value: object, where: slice) -> pd.Series:
    changed = column.astype(object).copy()
    changed.iloc[where] = value
    return changed.astype("category")


def test_a_valid_file_is_read_whole(ingest):
    found = ingest()
    assert found.summary["n_cells_kept"] == N_CELLS
    assert found.summary["populations"]["healthy"] == {"n_cells": 12, "n_donors": 1}
    assert found.summary["populations"]["diseased"] == {"n_cells": 6, "n_donors": 1}


def test_raw_counts_are_used_also_of_genes_left_out_of_x(ingest, atlas_row, tmp_path):
    from targetscore.formats import open_atlas

    found = ingest()
    assert found.summary["counts"] == "raw/X"
    read = next(open_atlas(atlas_row(), str(tmp_path / "a.h5ad")).blocks())[1].toarray()
    assert np.array_equal(read, counts())
    assert read[:, 2].sum() > 0


@pytest.mark.parametrize("where", ["uns", "obs"])
@pytest.mark.parametrize("organism", ["NCBITaxon:10090", "NCBITaxon:9544"])
def test_another_species_is_refused(ingest, where, organism):
    """Schemas 6 and 7 say it in uns, earlier ones in obs."""
    obs = obs_of_schema_7()
    if where == "obs":
        obs["organism_ontology_term_id"] = pd.Categorical([organism] * N_CELLS)
    with pytest.raises(AtlasError, match=f"its cells are not human .{organism}"):
        ingest(obs, organism=organism if where == "uns" else None)


def test_cells_of_another_species_beside_human_ones(ingest):
    obs = obs_of_schema_7()
    organism = pd.Series("NCBITaxon:9606", index=obs.index).astype("category")
    obs["organism_ontology_term_id"] = some(organism, "NCBITaxon:10090", slice(0, 3))
    assert rejected(ingest(obs, organism=None)) == {"other_organism": 3}


@pytest.mark.parametrize("kind", ["organoid", "cell culture", "cell line"])
def test_only_tissue_counts(ingest, kind):
    obs = obs_of_schema_7()
    obs["tissue_type"] = some(obs["tissue_type"], kind, slice(12, 16))
    found = ingest(obs)
    assert rejected(found) == {"not_tissue": 4}
    assert set(found.rejected["detail"]) == {kind}


def test_columns_of_other_atlases_are_read_with_care(ingest):
    """Without the schema tissue_type may say tumour or normal, and a species be written freely."""
    obs = obs_of_schema_7().rename(columns={"tissue_ontology_term_id": "tissue"})
    kinds = ["Tumor", "Normal", "tissue", "Organoid"] * (N_CELLS // 4)
    obs = obs.assign(tissue_type=kinds, species="Homo_sapiens")
    assert rejected(ingest(obs, organism=None)) == {"not_tissue": N_CELLS // 4}


def test_organoids_of_files_before_schema_5(ingest):
    obs = obs_of_schema_7().drop(columns="tissue_type")
    tissue = obs["tissue_ontology_term_id"]
    obs["tissue_ontology_term_id"] = some(tissue, "UBERON:0000955 (organoid)", slice(12, 14))
    assert rejected(ingest(obs)) == {"not_tissue": 2}


@pytest.mark.parametrize("donor", ["pooled", "unknown", "na"])
def test_what_is_no_donor(ingest, donor):
    obs = obs_of_schema_7()
    obs["donor_id"] = some(obs["donor_id"], donor, slice(12, 17))
    assert rejected(ingest(obs)) == {"donor_unknown": 5}


def test_duplicates_of_other_datasets_are_dropped(ingest):
    obs = obs_of_schema_7()
    obs.loc[obs.index[:7], "is_primary_data"] = False
    assert rejected(ingest(obs)) == {"not_primary_data": 7}


def test_a_malignant_cell_is_never_healthy(ingest):
    obs = obs_of_schema_7()
    types = some(obs["cell_type_ontology_term_id"], ontology.MALIGNANT_CELL, slice(0, 1))
    obs["cell_type_ontology_term_id"] = some(types, ontology.MALIGNANT_CELL, slice(12, 14))
    found = ingest(obs)
    assert rejected(found) == {"malignant_in_healthy_donor": 2}
    by_cell = found.cells.set_index("cell")["population"]
    assert by_cell["cell0"] == "diseased"


def test_a_malignant_cell_that_is_called_normal_is_unclear(ingest):
    obs = obs_of_schema_7()
    types = obs["cell_type_ontology_term_id"]
    obs["cell_type_ontology_term_id"] = some(types, ontology.MALIGNANT_CELL, slice(1, 2))
    obs["call"] = pd.Categorical(["malignant", "normal"] * 12)
    found = ingest(obs, malignancy="call")
    assert rejected(found) == {"malignancy_unclear": 1}
    assert found.rejected["cell"].tolist() == ["cell1"]


@pytest.mark.parametrize(
    ("column", "value", "n"),
    [
        ("genetic_perturbation_strategy", "CRISPR knockout screen", 4),
        ("genetic_perturbation_strategy", "no perturbations", 0),
        ("genetic_perturbation_strategy", "control", 0),
        ("perturbation_types", "chemical", 4),
    ],
)
def test_perturbed_cells_are_no_evidence(ingest, column, value, n):
    obs = obs_of_schema_7()
    untouched = pd.Series("no perturbations", index=obs.index).astype("category")
    obs[column] = some(untouched, value, slice(12, 16))
    assert rejected(ingest(obs)) == ({"perturbed": n} if n else {})


def test_several_diseases_of_a_donor(ingest):
    """Joined terms are a disease, never healthy, and each of them is found."""
    from targetscore.score.cohorts import _of_disease

    obs = obs_of_schema_7()
    both = f"{MYELOMA} || {COVID}"
    obs["disease_ontology_term_id"] = some(obs["disease_ontology_term_id"], both, slice(0, 12))
    found = ingest(obs)
    assert found.summary["populations"]["healthy"]["n_cells"] == 12
    values = found.cells["disease"]
    patients = found.cells["donor"] == "P1"
    for wanted in ([MYELOMA], ["plasma cell myeloma"], [COVID], [both], [f"{COVID} || {MYELOMA}"]):
        assert (_of_disease(values, wanted) == patients).all(), wanted
    assert not _of_disease(values, ["MONDO:0018874"]).any()
    assert not _of_disease(values, [f"{MYELOMA} || MONDO:0018874"]).any()


@pytest.mark.parametrize("disease", [f"PATO:0000461 || {COVID}", "PATO:0000460", "remission"])
def test_healthy_is_exactly_normal(ingest, disease):
    obs = obs_of_schema_7()
    terms = obs["disease_ontology_term_id"]
    obs["disease_ontology_term_id"] = some(terms, disease, slice(12, 24))
    assert "healthy" not in ingest(obs).summary["populations"]


def test_cells_without_a_type_in_files_before_analysis(ingest):
    obs = obs_of_schema_7()
    types = obs["cell_type_ontology_term_id"]
    for word in ("unknown", "na"):
        obs["cell_type_ontology_term_id"] = some(types, word, slice(0, 3))
        assert rejected(ingest(obs)) == {"cell_type_unknown": 3}
    obs["cell_type_ontology_term_id"] = some(types, np.nan, slice(0, 3))
    with pytest.raises(AtlasError, match="3 of 24 cells have no cell_type.*\n.*label them"):
        ingest(obs)
    with pytest.raises(AtlasError, match="nothing says the cell_type of a cell"):
        ingest(obs.drop(columns="cell_type_ontology_term_id"))


def test_nuclei_are_a_group_of_their_own(ingest):
    obs = obs_of_schema_7()
    obs["suspension_type"] = some(obs["suspension_type"], "nucleus", slice(12, 24))
    cells = ingest(obs).cells
    assert cells.groupby("donor")["suspension"].unique().str[0].to_dict() == {
        "H1": "nucleus",
        "P1": "cell",
    }


def test_obs_alone_or_both_say_human(ingest, tmp_path):
    obs = obs_of_schema_7()
    obs["organism_ontology_term_id"] = pd.Categorical(["NCBITaxon:9606"] * N_CELLS)
    assert rejected(ingest(obs, organism=None)) == {}
    assert rejected(ingest(organism=None)) == {}
    with h5py.File(tmp_path / "a.h5ad") as file:
        assert "organism_ontology_term_id" not in file["uns"]
