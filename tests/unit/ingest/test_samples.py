"""Samples as a whole: from an atlas with empty barcodes, plates and doublets to its tables."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore import contracts
from targetscore.config import Ingesting
from targetscore.errors import MatrixError
from targetscore.formats import OpenAtlas
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas
from targetscore.ingest.samples import NO_DROPLETS, SWITCHED_OFF, TABLES, assess_samples

N_GENES = 300
SOUP = np.random.default_rng(9).dirichlet(np.ones(N_GENES))


def part(rng, n, sample, assay="10x 3' v3", empties=0, doublets=0):
    """Rows of one sample: two kinds of cells, doublets of both, barcodes without a cell."""
    kinds = np.random.default_rng(1).gamma(0.3, 1.0, (2, N_GENES))
    kinds *= 1500 / kinds.sum(1, keepdims=True)
    kind = rng.integers(0, 2, n)
    counts = rng.poisson(kinds[kind] * rng.lognormal(0, 0.3, n)[:, None])
    for i in range(doublets):
        partner = next(j for j in range(doublets + i, n) if kind[j] != kind[i])
        counts[i] += counts[partner]
    free = np.vstack([rng.multinomial(k, SOUP) for k in rng.integers(20, 60, empties)] or [[]])
    labels = pd.DataFrame(
        {
            "donor_id": "H1",
            "sample_id": sample,
            "assay": assay,
            "cell_type": [*np.where(kind, "T cell", "plasma cell"), *["unknown"] * empties],
            "tissue": "bone marrow",
            "disease": "normal",
            "truth": [i < doublets for i in range(n)] + [False] * empties,
        }
    )
    return np.vstack([counts, free]) if empties else counts, labels


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    parts = [
        part(rng, 260, "run", empties=300, doublets=20),
        part(rng, 230, "plate", assay="Smart-seq2"),
        part(rng, 30, "small", empties=20),
        part(rng, 250, "filtered", doublets=10),
    ]
    labels = pd.concat([p[1] for p in parts], ignore_index=True)
    labels.index = [f"cell{i:04d}" for i in range(len(labels))]
    ids = [f"ENSG{i:011d}" for i in range(N_GENES - 1)]
    var = pd.DataFrame({"feature_name": [f"G{i}" for i in range(N_GENES)]}, index=[*ids, ids[0]])
    x = sp.csr_matrix(np.vstack([p[0] for p in parts]).astype(np.float32))
    file = tmp_path_factory.mktemp("samples") / "a.h5ad"
    ad.AnnData(x, obs=labels, var=var).write_h5ad(file)
    return file


@pytest.fixture
def assess(atlas_row, repository, path):
    genes = load_genes(str(repository / "config" / "knowledge"))

    def run(doublets=True):
        row = atlas_row()
        made = ingest_atlas(row, str(path), genes, "atlases.tsv")
        args = (row, str(path), "atlases.tsv", made.cells, made.genes)
        return made, assess_samples(*args, Ingesting(doublets=doublets), [])

    return run


@pytest.fixture
def passes(monkeypatch):
    """How often the matrix is read."""
    read = []
    blocks = OpenAtlas.blocks

    def counted(self):
        read.append(1)
        yield from blocks(self)

    monkeypatch.setattr(OpenAtlas, "blocks", counted)
    return read


def by_sample(made, found):
    return found.doublets.merge(made.cells[["row", "cell", "sample"]], on="row").set_index("sample")


def test_every_cell_has_a_score_or_a_reason(assess, passes, path):
    made, found = assess()
    assert len(passes) == 1
    for name in TABLES:
        getattr(contracts, name.upper()).check(getattr(found, name), name)
    assert found.doublets["row"].tolist() == made.cells["row"].tolist()
    cells = by_sample(made, found)
    assert cells.loc["run", "score"].notna().all()
    assert set(cells.loc["plate", "reason"]) == {NO_DROPLETS}
    small = "not assessed: the sample has fewer than 200 cells"
    assert set(cells.loc["small", "reason"]) == {small}
    assert cells.loc[["plate", "small"], "flagged"].isna().all()
    truth = ad.read_h5ad(path).obs["truth"]
    flagged = cells["flagged"].fillna(False).to_numpy(bool)
    is_doublet = truth.loc[cells["cell"]].to_numpy(bool)
    assert flagged[is_doublet].mean() > 0.5
    assert flagged[~is_doublet].mean() < 0.03


def test_the_summary_counts_what_the_tables_hold(assess):
    _, found = assess()
    said, calls = found.summary["doublets"], found.doublets["flagged"]
    assert said["switched_on"] is True
    assert (said["n_cells"], said["n_with_call"]) == (len(calls), calls.notna().sum())
    assert said["n_flagged"] == calls.sum() > 0
    assert sum(said["reasons"].values()) == found.doublets["reason"].notna().sum()
    assert found.summary["ambient"] == {"empty_droplets": 1, "sample_profile": 3}
    samples = {s["sample"]: s for s in found.summary["samples"]}
    assert [samples[s]["n_cells"] for s in ("run", "plate", "small")] == [260, 230, 30]
    assert samples["plate"]["n_flagged"] is None
    assert sum(s["n_flagged"] or 0 for s in samples.values()) == said["n_flagged"]
    assert samples["run"]["ambient"] == "empty_droplets"


def test_free_rna_of_the_sample_with_empty_barcodes(assess):
    _, found = assess()
    table = found.ambient.set_index("sample")
    assert table["source"].eq("empty_droplets").tolist() == [s == "run" for s in table.index]
    assert table.loc["run", "n_empty"] == 300
    assert table.loc["small", "n_empty"] == 20, "too few to measure anything"
    assert table["share"].notna().tolist() == [s == "run" for s in table.index]
    assert set(found.ambient_rates["sample"]) == {"run"}
    rates = found.ambient_rates.set_index("gene_id")["rate"]
    expected = SOUP[:-1].copy()
    expected[0] += SOUP[-1]  # two columns of one gene
    names = [f"ENSG{i:011d}" for i in range(N_GENES - 1)]
    close = rates.reindex(names, fill_value=0.0).to_numpy() / table.loc["run", "share"]
    assert np.corrcoef(close, expected)[0, 1] > 0.95
    assert close.sum() == pytest.approx(1.0)
    assert close[0] == pytest.approx(expected[0], rel=0.3)


def test_switched_off_is_not_assessed_and_free_rna_is_still_measured(assess, passes):
    _, found = assess(doublets=False)
    assert len(passes) == 1, "for the barcodes without a cell"
    assert set(found.doublets["reason"]) == {SWITCHED_OFF}
    assert found.doublets["flagged"].isna().all()
    assert found.summary["doublets"]["n_flagged"] is None
    assert found.ambient_rates.equals(assess()[1].ambient_rates)


def test_without_barcodes_that_are_no_cells_there_is_no_free_rna(
    assess, passes, path, tmp_path, monkeypatch
):
    data = ad.read_h5ad(path)
    data[data.obs["cell_type"] != "unknown"].write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setattr("targetscore.ingest.samples.open_atlas", _open(tmp_path / "cells.h5ad"))
    monkeypatch.setattr("targetscore.ingest.open_atlas", _open(tmp_path / "cells.h5ad"))
    _, found = assess(doublets=False)
    assert len(passes) == 1, "for the quality of cells"
    assert set(found.ambient["source"]) == {"sample_profile"}
    assert found.ambient_rates.empty


def _open(file):
    from targetscore.formats import open_atlas

    return lambda row, location: open_atlas(row, str(file))


def test_an_atlas_that_shrank_is_refused(assess, path, tmp_path, monkeypatch):
    ad.read_h5ad(path)[:500].write_h5ad(tmp_path / "short.h5ad")
    monkeypatch.setattr("targetscore.ingest.samples.open_atlas", _open(tmp_path / "short.h5ad"))
    with pytest.raises(MatrixError, match="has 500 rows, 1,090 were ingested"):
        assess()


def test_scanpy_is_not_imported_where_nothing_is_scored():
    import subprocess
    import sys

    code = "import sys, targetscore.ingest.samples; sys.exit('scanpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
