"""Light-chain calls of one patient's real plasma cells; nothing is said about prevalence."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore.config import AtlasRow, load_registry
from targetscore.errors import AtlasError
from targetscore.genes import is_masked, load_genes
from targetscore.ingest import Ingested, ingest_atlas

pytestmark = [pytest.mark.realdata, pytest.mark.xdist_group("realdata")]


@pytest.fixture(scope="module")
def counts(realdata) -> pd.DataFrame:
    """Counts as published, genes × cells."""
    return pd.read_csv(realdata / "myeloma_clone" / "counts.tsv.gz", sep="\t", index_col=0)


@pytest.fixture(scope="module")
def truth(realdata, counts) -> pd.Series:
    labels = pd.read_csv(realdata / "myeloma_clone" / "cells.tsv", sep="\t", index_col="cell")
    return labels["label"].str.startswith("clonal").loc[counts.columns]


@pytest.fixture(scope="module")
def ingest(repository, tmp_path_factory):
    genes = load_genes(str(repository / "config" / "knowledge"))

    def run(counts: pd.DataFrame) -> Ingested:
        path = tmp_path_factory.mktemp("myeloma") / "clone.h5ad"
        obs = pd.DataFrame(index=counts.columns)
        data = ad.AnnData(sp.csr_matrix(counts.to_numpy(np.float32).T), obs=obs)
        data.var_names = counts.index
        data.write_h5ad(path)
        row = AtlasRow(
            atlas="myeloma_clone",
            kind="tumour",
            format="h5ad",
            version="1",
            url=str(path),
            licence="MIT",
            donor="=patient",
            tissue="=bone marrow",
            cell_type="=plasma cell",
            disease="=plasma cell myeloma",
            malignancy="=light_chain",
            lineage="plasma cell",
        )
        return ingest_atlas(row, str(path), genes, "atlases.tsv")

    return run


@pytest.fixture(scope="module")
def found(ingest, counts) -> Ingested:
    return ingest(counts)


def test_twenty_clonal_and_twenty_normal_cells_are_separated(found, truth):
    (patient,) = found.summary["clones"]
    assert (patient["chain"], patient["gene"]) == ("lambda", "IGLC3")
    assert patient["probability_clone"] > 0.95
    called = found.cells.set_index("cell")["population"].astype(str)
    assert set(called[truth[truth].index]) == {"diseased"}
    assert set(called[truth[~truth].index]) == {"normal_counterpart"}
    assert found.rejected.empty
    # Light chains cannot exclude normal IGLC3 cells among the twenty, and the summary says so.
    assert 0.01 < patient["expected_normal_among_malignant"] < 0.10


def test_no_cell_changes_sides_when_depth_is_equal(ingest, counts, truth):
    rng = np.random.default_rng(0)
    depth = counts.sum()
    kept = depth.min() / depth
    for _ in range(3):
        thinned = counts.apply(lambda x: rng.binomial(x.to_numpy(), kept[x.name]))
        thinned.index = counts.index
        again = ingest(thinned)
        assert again.summary["clones"][0]["gene"] == "IGLC3"
        called = again.cells.set_index("cell")["population"].astype(str)
        assert called[truth].eq("diseased").all()
        assert called[~truth].eq("normal_counterpart").all()


@pytest.mark.parametrize("masked", [True, False])
def test_antigens_of_the_clone_at_equal_depth(found, counts, masked):
    """TNFRSF17 and GPRC5D higher, CD19 lower: detected, per million, and thinned to one depth."""
    population = found.cells.set_index("cell")["population"].astype(str)
    clone = (population.loc[counts.columns] == "diseased").to_numpy()
    used = np.array([not (masked and is_masked(g)) for g in counts.index])
    size = counts[used].sum().to_numpy()
    depth = size.min()
    for gene, sign in (("TNFRSF17", 1), ("GPRC5D", 1), ("CD19", -1)):
        x = counts.loc[gene].to_numpy()
        per_million = [1e6 * x[c].sum() / size[c].sum() for c in (clone, ~clone)]
        thinned = 1 - (1 - depth / size) ** x
        for ours, theirs in (
            per_million,
            (thinned[clone].mean(), thinned[~clone].mean()),
            ((x[clone] > 0).mean(), (x[~clone] > 0).mean()),
        ):
            assert sign * (ours - theirs) > 0, gene


def test_leukaemia_without_immunoglobulin_genes_is_refused(realdata, in_repository, monkeypatch):
    monkeypatch.setenv("TARGETSCORE_REALDATA", str(realdata))
    row = load_registry(["tests/realdata/atlases.tsv"])["aml_van_galen"]
    row = row.model_copy(update={"malignancy": "=light_chain"})
    genes = load_genes("config/knowledge")
    with pytest.raises(AtlasError, match=r"=light_chain cannot be used: IGKC; IGLC2 and IGLC3 not"):
        ingest_atlas(row, str(realdata / "aml_van_galen"), genes, "r.tsv", read_matrix=False)
