"""Every format is recognised by its contents, and its row is read as a run reads it."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import tiledbsoma.io as soma_io

from targetscore.config import load_registry
from targetscore.errors import AtlasError
from targetscore.fetch import local_location
from targetscore.formats import open_atlas

TEXT = h5py.string_dtype()
ONE = ("donor==P1", "tissue==blood", "cell_type==monocyte", "disease==normal")


def added():
    """The row that was written, opened where the registry says it is."""
    row = load_registry(["config/atlases.tsv"])["mine"]
    return row, open_atlas(row, str(local_location(row, "config/atlases.tsv")))


def test_h5ad_with_a_name_no_row_can_hold_as_it_is(bring, write_h5ad, counts):
    bring(write_h5ad("my cells (${HOME}).h5ad"))
    row, atlas = added()
    assert row.url.startswith("file:///")
    assert atlas.shape == counts.shape


def test_matrix_market(bring, write_tenx):
    bring(write_tenx(), *ONE)
    row, atlas = added()
    assert row.format == "tenx_mtx"
    assert atlas.cells["cell"][0] == "cell0"


def test_tenx_hdf5(bring, tmp_path, counts):
    path = tmp_path / "filtered.h5"
    by_cell = sp.csr_matrix(counts)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            matrix[name] = getattr(by_cell, name)
        matrix["shape"] = np.array(counts.shape[::-1])
        n_cells, n_genes = counts.shape
        matrix.create_dataset("barcodes", data=[f"c{i}" for i in range(n_cells)], dtype=TEXT)
        features = matrix.create_group("features")
        ids = [f"ENSG{i:011d}" for i in range(n_genes)]
        features.create_dataset("id", data=ids, dtype=TEXT)
        features.create_dataset("name", data=[f"G{i}" for i in range(n_genes)], dtype=TEXT)
        kinds = ["Gene Expression"] * n_genes
        features.create_dataset("feature_type", data=kinds, dtype=TEXT)
    bring(path, *ONE)
    row, atlas = added()
    assert (row.format, row.counts) == ("tenx_h5", "")
    assert atlas.shape == counts.shape


def test_loom(bring, tmp_path, counts, obs):
    path = tmp_path / "a.loom"
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=counts.T.astype(np.float32), chunks=(4, 4))
        file.create_group("layers")
        cells = file.create_group("col_attrs")
        cells.create_dataset("CellID", data=list(obs.index), dtype=TEXT)
        for name in ("donor_id", "cell_type", "tissue", "disease"):
            cells.create_dataset(name, data=list(obs[name]), dtype=TEXT)
        ids = [f"ENSG{i:011d}" for i in range(counts.shape[1])]
        file.create_group("row_attrs").create_dataset("Accession", data=ids, dtype=TEXT)
    bring(path, "lineage=plasma cell")
    row, atlas = added()
    assert (row.format, row.donor, row.kind) == ("loom", "donor_id", "mixed")
    assert atlas.shape == counts.shape


def test_tiledb_soma(bring, tmp_path, monkeypatch, counts, obs):
    genes = [f"ENSG{i:011d}" for i in range(counts.shape[1])]
    data = ad.AnnData(
        sp.csr_matrix(counts.astype(np.float32)),
        obs=obs.drop(columns="malignancy"),
        var=pd.DataFrame({"feature_name": genes}, index=genes),
    )
    soma_io.from_anndata(str(tmp_path / "store"), data, "RNA", X_layer_name="raw")
    bring("store", "lineage=plasma cell")
    row, atlas = added()
    assert (row.format, row.url, row.donor) == ("soma", "soma:store", "donor_id")
    assert atlas.shape == counts.shape
    (tmp_path / "store").rename(tmp_path / "my store")
    with pytest.raises(AtlasError, match="URL of a store"):
        bring("my store", name="other")


def test_what_cellxgene_writes_about_a_file_is_used(bring, write_h5ad):
    path = write_h5ad()
    dataset = "4f1555bc-4664-46c3-a606-78d34dd10d92"
    citation = (
        "Publication: https://doi.org/10.1126/science.abl4896 Dataset Version: "
        f"https://datasets.cellxgene.cziscience.com/{dataset}.h5ad curated and distributed by "
        "CZ CELLxGENE Discover in Collection: https://cellxgene.cziscience.com/collections/x"
    )
    with h5py.File(path, "a") as file:
        file["uns"].create_dataset("citation", data=citation, dtype=TEXT)
    bring(path, basis=())
    row, _ = added()
    assert (row.doi, row.version) == ("10.1126/science.abl4896", dataset)
    assert row.licence.startswith("CC BY 4.0")


def test_what_the_simulation_writes_is_called_simulated(bring, write_h5ad):
    path = write_h5ad()
    with h5py.File(path, "a") as file:
        file["uns"].create_dataset("simulated", data=True)
    bring(path)
    assert added()[0].kind == "simulated"


def test_a_citation_nobody_can_read_is_left_alone(bring, write_h5ad):
    path = write_h5ad()
    with h5py.File(path, "a") as file:
        file["uns"].create_dataset("citation", data="doi.org/10.1000/a\tb\n\u202e", dtype=TEXT)
    bring(path)
    assert added()[0].doi == ""
