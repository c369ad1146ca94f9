"""Cells that are no evidence, and cells under a wrong label, counted apart from the program."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore import contracts
from targetscore.config import Ingesting
from targetscore.errors import AtlasError, KnowledgeError
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas
from targetscore.ingest.contamination import load_programmes
from targetscore.ingest.samples import TABLES, assess_samples

KNOWLEDGE = "config/knowledge"
PLASMA = ("JCHAIN", "MZB1", "DERL3", "XBP1", "POU2AF1", "FKBP11", "SEC11C")
MITO = [f"MT-{n}" for n in ("CO1", "CO2", "CO3", "ATP6", "ND1", "ND2", "ND3", "ND4", "ND5")]
N_FILL = 2500


def world(n=100, types=("monocyte",), genes=None, suspension="cell"):
    """Cells of 2,500 fillers with about 1,000 UMI each, and labels; every gene is measured."""
    names = genes if genes is not None else [*PLASMA, *MITO, *(f"F{i}" for i in range(N_FILL))]
    rng = np.random.default_rng(5)
    counts = np.zeros((n, len(names)), dtype=np.int64)
    fill = np.array([name.startswith("F") and name[1:].isdigit() for name in names])
    counts[:, fill] = rng.poisson(1000 / max(fill.sum(), 1), (n, fill.sum()))
    obs = pd.DataFrame(
        {
            "donor_id": "H1",
            "cell_type": np.resize(types, n),
            "tissue": "blood",
            "disease": "normal",
            "suspension_type": suspension,
        },
        index=[f"c{i:03d}" for i in range(n)],
    )
    return counts, obs, names


@pytest.fixture
def look(atlas_row, in_repository, tmp_path):
    table = load_genes(KNOWLEDGE)

    def run(counts, obs, names, **settings):
        data = ad.AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs)
        data.var_names = names
        path = tmp_path / "a.h5ad"
        data.write_h5ad(path)
        made = ingest_atlas(atlas_row(), str(path), table, "reg.tsv")
        found = assess_samples(
            atlas_row(),
            str(path),
            "reg.tsv",
            made.cells,
            made.genes,
            Ingesting(doublets=False, **settings),
            load_programmes(KNOWLEDGE, table),
        )
        for name in TABLES:
            getattr(contracts, name.upper()).check(getattr(found, name), name)
        return found

    return run


def test_each_limit_removes_its_cells_with_reason_and_value(look):
    counts, obs, names = world()
    counts[0] = 0
    counts[1] = 0
    counts[1, -150:] = 10  # 150 genes, 1,500 UMI
    counts[2] = 0
    counts[2, -400:] = 1  # 400 genes and UMI
    counts[3, names.index("MT-CO1")] = counts[3].sum()  # half mitochondrial
    counts[4, -200:] += 1
    counts[4, :-200] = 0  # at the limit of genes, above that of UMI or not
    counts[4, -1] += 500
    found = look(counts, obs, names)
    removed = found.removed.set_index("cell")
    assert removed["reason"].to_dict() == {
        "c000": "no_counts",
        "c001": "too_few_genes",
        "c002": "too_few_counts",
        "c003": "mitochondrial_rna",
    }
    assert removed.loc["c001", "detail"] == "150 genes, at least 200 needed"
    assert removed.loc["c002", "detail"] == "400 UMI, at least 500 needed"
    assert removed.loc["c003", "detail"] == "50.0% mitochondrial, at most 20%"
    assert found.summary["quality"]["n_removed"] == 4
    by_hand = pd.DataFrame(
        {"n_counts": counts.sum(1), "n_genes": (counts > 0).sum(1)}, index=range(len(counts))
    )
    assert found.quality[["n_counts", "n_genes"]].equals(by_hand)


def test_limits_are_configured(look):
    counts, obs, names = world()
    off = {"min_genes": 0, "min_counts": 0, "max_mitochondrial": 1.0}
    assert look(counts, obs, names, quality=off).removed.empty
    strict = {"min_counts": int(np.median(counts.sum(1)))}
    n = int((counts.sum(1) < strict["min_counts"]).sum())
    assert 10 < n == len(look(counts, obs, names, quality=strict).removed)


def test_nuclei_have_a_lower_limit_and_mitochondrial_types_a_higher_one(look):
    counts, obs, names = world(n=120, types=("monocyte", "cardiac muscle cell"))
    place = names.index("MT-CO1")
    heart = (obs["cell_type"] == "cardiac muscle cell").to_numpy()
    rng = np.random.default_rng(0)
    share = np.where(heart, rng.normal(0.35, 0.03, 120), rng.normal(0.04, 0.004, 120))
    share[0] = 0.12  # a monocyte
    counts[:, place] = counts.sum(1) * share / (1 - share)
    found = look(counts, obs, names)
    assert found.removed.empty, "heart muscle lives on mitochondria"
    nuclei = look(counts, obs.assign(suspension_type="nucleus"), names).removed
    assert set(nuclei["row"]) == {*np.flatnonzero(heart), 0}


def test_without_mitochondrial_genes_the_filter_says_that_it_was_not_applied(look):
    names = [*PLASMA, *(f"F{i}" for i in range(N_FILL))]
    found = look(*world(genes=names))
    words = found.summary["quality"]["filters"]["mitochondrial_rna"]
    assert words == "not applied: no mitochondrial genes measured"
    assert found.quality["mitochondrial_share"].isna().all()
    few = look(*world(genes=[*MITO[:3], *names]))
    words = few.summary["quality"]["filters"]["mitochondrial_rna"]
    assert words == "not applied: only 3 of 13 mitochondrial genes measured"
    assert few.quality["mitochondrial_share"].isna().all()


def test_a_targeted_panel_keeps_its_cells(look):
    counts, obs, names = world(genes=[f"F{i}" for i in range(150)])
    counts[7] = 0
    found = look(counts, obs, names)
    assert found.removed["reason"].tolist() == ["no_counts"]
    words = found.summary["quality"]["filters"]
    assert words["too_few_genes"] == "not applied: targeted panel of 150 genes"
    assert words["too_few_counts"] == "not applied: targeted panel of 150 genes"


def test_if_no_cell_passes_the_atlas_is_refused(look):
    with pytest.raises(AtlasError, match="no cell passes the filters"):
        look(*world(), quality={"min_counts": 10**6})


def test_high_cells_are_reported_not_removed(look):
    counts, obs, names = world()
    counts[9] *= 20
    found = look(counts, obs, names)
    assert found.removed.empty
    assert found.quality.loc[9, "outlier"] == "counts"
    assert found.quality["outlier"].notna().sum() == 1


def plasmablasts(counts, names, rows, each=6):
    for row in rows:
        for gene in PLASMA:
            counts[row, names.index(gene)] = each


def test_cells_under_a_wrong_label_are_found_counted_and_kept(look):
    genes = [*PLASMA, *MITO, "TNFRSF17", *(f"F{i}" for i in range(N_FILL))]
    counts, obs, names = world(
        n=100, types=("monocyte", "T cell", "plasma cell", "B cell"), genes=genes
    )
    kinds = obs["cell_type"].to_numpy()
    wrong = [0, 1, 4, 5]  # monocytes and T cells
    plasmablasts(counts, names, [*wrong, *np.flatnonzero(kinds == "plasma cell"), 3])
    counts[[0, 4, 8], names.index("TNFRSF17")] = 2
    found = look(counts, obs, names)
    said = found.quality["foreign_programme"]
    assert np.flatnonzero(said == "plasma cell").tolist() == wrong
    native = np.isin(kinds, ["plasma cell", "B cell"])
    assert set(said[kinds == "monocyte"]) == {"plasma cell", "none"}
    assert found.removed.empty
    assert found.summary["contamination"]["n_flagged"] == 4
    bcma = found.contamination[found.contamination["gene_id"] == "ENSG00000048462"]
    row = bcma.set_index("cell_type").loc["monocyte"]
    assert (row["n_cells"], row["n_flagged"]) == ((kinds == "monocyte").sum(), 2)
    assert (row["n_detected"], row["n_flagged_detected"]) == (3, 2)
    assert not (set(np.flatnonzero(native)) & set(np.flatnonzero(said == "plasma cell")))

    left = look(counts, obs, names, contamination="exclude").removed
    assert left["row"].tolist() == wrong
    assert set(left["reason"]) == {"foreign_programme"}
    pattern = r"plasma cell: 7 of 7 markers, 42 UMI, \d\.\d expected from free RNA"
    assert re.fullmatch(pattern, left.loc[0, "detail"])
    off = look(counts, obs, names, contamination="off")
    assert set(off.quality["foreign_programme"]) == {"not_assessed"}


def test_what_free_rna_explains_is_not_a_wrong_label(look):
    """A twentieth of the plasma cells' level in every monocyte is soup."""
    counts, obs, names = world(
        n=200, types=("plasma cell", "plasma cell", "plasma cell", "monocyte")
    )
    plasmablasts(counts, names, np.flatnonzero(obs["cell_type"] == "plasma cell"), each=60)
    plasmablasts(counts, names, np.flatnonzero(obs["cell_type"] == "monocyte"), each=2)
    assert not (look(counts, obs, names).quality["foreign_programme"] == "plasma cell").any()


def test_labels_without_a_term_and_absent_markers_are_not_assessed(look):
    counts, obs, names = world(types=("cluster 7",))
    plasmablasts(counts, names, range(10))
    assert set(look(counts, obs, names).quality["foreign_programme"]) == {"not_assessed"}
    counts, obs, names = world(genes=[*MITO, *(f"F{i}" for i in range(N_FILL))])
    found = look(counts, obs, names)
    assert set(found.quality["foreign_programme"]) == {"not_assessed"}
    unmeasured = found.summary["contamination"]["programmes_not_measured"]
    assert unmeasured == ["monocyte", "plasma cell"]


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("\tMZB1\t", "\tCD38\t", "is an antigen of antigens.tsv"),
        ("\tMZB1\t", "\tMZB7\t", "is no known gene"),
        ("CL:0000784\tMZB1", "CL:9999999\tMZB1", "native_to differs"),
        ("CL:0000784", "CL:9999999", "not all are current terms of CL"),
    ],
)
def test_markers_are_checked(in_repository, tmp_path, old, new, wrong):
    for name in ("lineage_markers", "antigens"):
        text = (in_repository / KNOWLEDGE / f"{name}.tsv").read_text()
        if name == "lineage_markers":
            assert old in text
            text = text.replace(old, new)
        (tmp_path / f"{name}.tsv").write_text(text)
    with pytest.raises(KnowledgeError, match=wrong):
        load_programmes(str(tmp_path), load_genes(KNOWLEDGE))
