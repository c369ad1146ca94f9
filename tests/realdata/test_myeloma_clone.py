"""Light-chain calls of one patient's real plasma cells; nothing is said about prevalence."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore.config import AtlasRow, load_registry
from targetscore.contracts import COMPONENTS, RANKING
from targetscore.errors import AtlasError
from targetscore.genes import is_masked, load_genes
from targetscore.ingest import Ingested, ingest_atlas
from targetscore.io import read_table

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


@pytest.mark.workflow
def test_the_run_sees_the_clone_higher_and_lower_than_its_counterpart(real_run, counts, truth):
    path = real_run[0] / "results/score/myeloma_clone/components.parquet"
    found = read_table(path, COMPONENTS).astype({"antigen": str}).set_index("antigen")
    size = counts[[not is_masked(g) for g in counts.index]].sum()
    for gene, sign in (("TNFRSF17", 1), ("GPRC5D", 1), ("CD19", -1)):
        clone, normal = (
            np.log2(1e6 * counts.loc[gene, own].sum() / size[own].sum() + 10)
            for own in (truth, ~truth)
        )
        fold = found.loc[gene, "log_fold_change_counterpart"]
        assert fold == pytest.approx(clone - normal, abs=1e-9)
        assert sign * fold > 0


@pytest.mark.workflow
def test_twenty_cells_of_one_patient_rank_nothing_and_claim_no_prevalence(real_run):
    folder = real_run[0] / "results/score/myeloma_clone"
    ranking = read_table(folder / "ranking.parquet", RANKING).astype({"status": str})
    assert set(ranking["status"]) == {"incomplete"}
    assert ranking["rank"].isna().all()
    assert ranking["composite_score"].isna().all()
    assert set(ranking["evidence_grade"].astype(str)) == {"D"}
    assert set(ranking["n_patients"]) == {1}
    assert set(ranking["n_replicates"]) == {0}
    components = read_table(folder / "components.parquet", COMPONENTS)
    # One patient says next to nothing of the next one: the interval over patients is wide.
    width = components["fraction_expressing_upper"] - components["fraction_expressing_lower"]
    seen = components["fraction_expressing"].between(0.05, 0.95)
    assert seen.any()
    assert (width[seen] > 0.5).all()
    page = (real_run[0] / "results/report/myeloma_clone.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert "No antigen could be ranked" in text
