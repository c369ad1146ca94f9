"""``malignancy = =light_chain``: from the registry row to populations, reasons and summary."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore.checks import verify_atlas
from targetscore.config import AtlasRow, Run, load_config, load_registry
from targetscore.contracts import CELLS, REJECTED
from targetscore.errors import AtlasError, RegistryError
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas
from targetscore.ingest.light_chain import CHAIN_GENES
from targetscore.simulate import World, write_world

MYELOMA = {"malignancy": "=light_chain", "lineage": "plasma cell"}
CHAINS = {
    "ENSG00000211592": "IGKC",
    "ENSG00000211675": "IGLC1",
    "ENSG00000211677": "IGLC2",
    "ENSG00000211679": "IGLC3",
    "ENSG00000211685": "IGLC7",
}
GENES = {**CHAINS, "ENSG00000048462": "TNFRSF17", "ENSG00000177455": "CD19"}


def cells_of(rng, donor, disease, n_clone, n_kappa, n_lambda, n_t, chain="IGLC3"):
    """Rows of counts and labels of one donor: plasma cells and T cells."""
    symbols = list(GENES.values())
    made = [chain] * n_clone + ["IGKC"] * n_kappa + ["IGLC2"] * n_lambda + [None] * n_t
    counts = rng.poisson(0.02, (len(made), len(symbols)))
    for i, gene in enumerate(made):
        counts[i, -2:] = rng.poisson(400, 2)
        if gene:
            counts[i, symbols.index(gene)] += rng.poisson(600)
    labels = pd.DataFrame(
        {
            "donor_id": donor,
            "cell_type": ["plasma cell"] * (len(made) - n_t) + ["T cell"] * n_t,
            "tissue": "bone marrow",
            "disease": disease,
            "truth": ["clone"] * n_clone + ["normal"] * (len(made) - n_clone),
        }
    )
    return counts, labels


@pytest.fixture
def write(tmp_path):
    def made(*parts, genes=GENES, name="a.h5ad"):
        counts = np.vstack([p[0] for p in parts])
        labels = pd.concat([p[1] for p in parts], ignore_index=True)
        labels.index = [f"cell{i}" for i in range(len(labels))]
        var = pd.DataFrame({"feature_name": list(genes.values())}, index=list(genes))
        kept = [g in genes for g in GENES]
        x = sp.csr_matrix(counts[:, kept].astype(np.float32))
        ad.AnnData(x, obs=labels, var=var).write_h5ad(tmp_path / name)
        return tmp_path / name

    return made


@pytest.fixture
def ingest(atlas_row, repository):
    genes = load_genes(str(repository / "config" / "knowledge"))

    def run(path, read_matrix=True, **fields):
        row = atlas_row(**(MYELOMA | fields))
        return ingest_atlas(row, str(path), genes, "atlases.tsv", read_matrix=read_matrix)

    return run


@pytest.fixture
def patients(write):
    rng = np.random.default_rng(0)
    return write(
        cells_of(rng, "P1", "plasma cell myeloma", 300, 12, 6, 60),
        cells_of(rng, "P2", "plasma cell myeloma", 0, 60, 40, 10),
        cells_of(rng, "H1", "normal", 0, 60, 40, 60),
    )


def test_clone_is_called_and_the_rest_is_told_apart(ingest, patients):
    found = ingest(patients)
    for table, contract in ((found.cells, CELLS), (found.rejected, REJECTED)):
        contract.check(table, contract.name)
    assert found.summary["malignancy_method"] == "light_chain"
    first, second = found.summary["clones"]
    assert (first["donor"], first["chain"], first["gene"]) == ("P1", "lambda", "IGLC3")
    assert first["calls"] == {"malignant": 300, "normal": 12, "unclear": 6}
    assert first["unclear"] == {"another lambda gene than the clone": 6}
    assert first["ambient_from"] == "cells that make no immunoglobulin"
    assert (second["donor"], second["chain"]) == ("P2", None)
    assert second["calls"]["malignant"] == 0
    assert second["ambient_from"] == "upper default"
    by = found.cells.groupby(["donor", "cell_type"], observed=True)["population"].agg(
        lambda v: dict(v.astype(str).value_counts())
    )
    assert by["P1", "plasma cell"] == {"diseased": 300, "normal_counterpart": 12}
    assert by["P1", "T cell"] == {"microenvironment": 60}
    assert by["H1", "plasma cell"] == {"healthy": 100}
    assert set(found.rejected["reason"]) == {"malignancy_unclear"}
    assert "another lambda gene than the clone" in set(found.rejected["detail"])
    assert found.summary["donors_without_diseased_cells"] == ["P2"]


def test_labels_alone_do_not_read_the_matrix(ingest, patients, monkeypatch):
    from targetscore.formats import OpenAtlas

    def refuse(self):
        raise AssertionError("the matrix was read")

    monkeypatch.setattr(OpenAtlas, "blocks", refuse)
    found = ingest(patients, read_matrix=False)
    assert found.summary["malignancy_method"] == "light_chain"
    assert found.summary["clones"] == []
    assert found.summary["populations"]["diseased"]["n_cells"] == 418
    with pytest.raises(AssertionError, match="the matrix was read"):
        ingest(patients)


def test_check_does_not_read_the_matrix_either(project, patients, monkeypatch):
    columns = ["atlas", "kind", "format", "version", "url", "licence", "malignancy", "lineage"]
    values = ["mine", "mixed", "h5ad", "1", str(patients), "CC0", *MYELOMA.values()]
    (project / "mine.tsv").write_text("\t".join(columns) + "\n" + "\t".join(values) + "\n")
    registry = load_registry(["mine.tsv"])
    config = load_config({"indications": ["multiple_myeloma_demo"], "registries": ["mine.tsv"]})
    genes = load_genes("config/knowledge")
    summary = verify_atlas(registry["mine"], Run(config, registry, {}), genes)
    assert summary["malignancy_method"] == "light_chain"
    assert summary["clones"] == []


def test_atlas_of_healthy_donors_needs_no_chain_counts(ingest, write):
    path = write(cells_of(np.random.default_rng(1), "H1", "normal", 0, 5, 5, 5))
    found = ingest(path)
    assert found.summary["malignancy_method"] == "none"
    assert found.summary["clones"] == []


def test_gene_ids_are_those_of_the_curated_table(repository):
    table = load_genes(str(repository / "config" / "knowledge"))
    known = {g: s for g, s in CHAIN_GENES.items() if s in table.approved}
    assert set(known.values()) == {"IGKC", "IGLC1", "IGLC2", "IGLC3", "IGLC7"}
    assert {g: table.symbols[g] for g in known} == known


@pytest.mark.parametrize(
    ("without", "missing"),
    [(set(CHAINS), "IGKC; IGLC2 and IGLC3"), ({"ENSG00000211592"}, "IGKC not")],
)
@pytest.mark.parametrize("read_matrix", [True, False])
def test_atlas_without_the_genes_is_refused_with_the_remedy(
    ingest, write, without, missing, read_matrix
):
    rng = np.random.default_rng(2)
    kept = {g: s for g, s in GENES.items() if g not in without}
    path = write(cells_of(rng, "P1", "plasma cell myeloma", 30, 5, 5, 5), genes=kept)
    with pytest.raises(AtlasError) as caught:
        ingest(path, read_matrix=read_matrix)
    message = str(caught.value)
    assert message.startswith("atlases.tsv: tiny, column malignancy: =light_chain cannot be used")
    assert missing in message
    assert "join a table of calls through cell_labels" in message


def test_genes_without_counts_are_refused(ingest, write):
    rng = np.random.default_rng(3)
    counts, labels = cells_of(rng, "P1", "plasma cell myeloma", 30, 5, 5, 5)
    counts[:, : len(CHAINS)] = 0
    with pytest.raises(AtlasError, match="IGKC; IGLC2 and IGLC3 hold no count"):
        ingest(write((counts, labels)))


def test_cells_of_unknown_donors_and_second_copies_are_no_evidence(ingest, write):
    rng = np.random.default_rng(4)
    known = cells_of(rng, "P1", "plasma cell myeloma", 0, 30, 20, 0)
    unknown = cells_of(rng, "unknown", "plasma cell myeloma", 200, 0, 0, 0)
    twice = cells_of(rng, "P1", "plasma cell myeloma", 300, 0, 0, 0)
    for part, primary in ((known, True), (unknown, True), (twice, False)):
        part[1]["is_primary_data"] = primary
    found = ingest(write(known, unknown, twice))
    assert [(p["donor"], p["n_cells"], p["chain"]) for p in found.summary["clones"]] == [
        ("P1", 50, None)
    ]
    reasons = found.rejected["reason"].value_counts()
    assert reasons["donor_unknown"] == 200
    assert reasons["not_primary_data"] == 300


def test_a_table_of_calls_can_replace_the_method(ingest, patients, tmp_path):
    table = tmp_path / "calls.tsv"
    lines = [f"cell{i}\t{'malignant' if i < 300 else 'normal'}\n" for i in range(648)]
    table.write_text("cell\tcall\n" + "".join(lines))
    found = ingest(patients, malignancy="call", cell_labels=str(table))
    assert found.summary["malignancy_method"] == "annotation"
    assert found.summary["clones"] == []
    assert found.summary["populations"]["diseased"]["n_cells"] == 300


def test_order_of_cells_changes_no_call(ingest, write):
    rng = np.random.default_rng(5)
    counts, labels = cells_of(rng, "P1", "plasma cell myeloma", 200, 30, 20, 60)
    one = ingest(write((counts, labels)))
    order = rng.permutation(len(labels))
    other = ingest(write((counts[order], labels.iloc[order]), name="b.h5ad"))
    assert one.summary["clones"] == other.summary["clones"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"malignancy": "=lightchain", "lineage": "plasma cell"}, "no such method: write =lineage"),
        ({"malignancy": "=light_chain"}, "needs the cell types the disease arises in"),
        ({"malignancy": "=lineage", "lineage": " ; "}, "needs the cell types"),
    ],
)
def test_registry_names_a_method_it_knows(tmp_path, fields, wrong):
    values = {"atlas": "a", "kind": "mixed", "format": "h5ad", "version": "1", "url": "x"}
    values |= {"licence": "CC0"} | fields
    path = tmp_path / "atlases.tsv"
    path.write_text("\t".join(values) + "\n" + "\t".join(values.values()) + "\n")
    with pytest.raises(RegistryError, match=wrong):
        load_registry([str(path)])


def test_simulated_myeloma_against_its_truth(tmp_path, repository):
    """Five simulated patients with ambient RNA and doublets: kappa, IGLC2 and IGLC3 clones."""
    path = tmp_path / "world.h5ad"
    write_world(World(seed=3, patients=5, healthy_donors=1, compartments=("marrow",)), path)
    row = AtlasRow(
        atlas="world", kind="simulated", format="h5ad", version="1", url="x", licence="x", **MYELOMA
    )
    genes = load_genes(str(repository / "config" / "knowledge"))
    found = ingest_atlas(row, str(path), genes, "atlases.tsv")
    assert [(p["chain"], p["gene"]) for p in found.summary["clones"]] == [
        ("kappa", None),
        ("kappa", None),
        ("lambda", "IGLC2"),
        ("kappa", None),
        ("lambda", "IGLC3"),
    ]
    truth = ad.read_h5ad(path, backed="r").obs[["malignancy", "simulated_doublet"]]
    called = found.cells.set_index("cell").join(truth)
    single = called[~called["simulated_doublet"]]
    for patient in found.summary["clones"]:
        mine = single[single["donor"] == patient["donor"]]
        diseased = mine[mine["population"] == "diseased"]
        normal = (diseased["malignancy"] == "normal").mean()
        assert normal < 0.1, patient["donor"]
        assert abs(normal - patient["expected_normal_among_malignant"]) < 0.05, patient["donor"]
        counterpart = mine[mine["population"] == "normal_counterpart"]
        assert len(counterpart) > 5
        assert (counterpart["malignancy"] == "normal").all()
    lost = set(truth.index[truth["malignancy"] == "malignant"]) - set(called.index)
    assert len(lost) < 0.02 * (truth["malignancy"] == "malignant").sum()
