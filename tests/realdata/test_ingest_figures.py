"""Every real atlas ingested: what came out, against a committed table and plain reading.

The table was filled in from the plain reading in this file, which uses none of the program.
"""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

from targetscore.config import Ingesting, load_registry
from targetscore.contracts import CELLS, GENES, REJECTED
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas
from targetscore.ingest.contamination import load_programmes
from targetscore.ingest.samples import assess_samples

pytestmark = [pytest.mark.realdata, pytest.mark.xdist_group("realdata")]

FIGURES = Path(__file__).with_name("ingest_figures.tsv")
PLACES = {
    "aml_van_galen": "aml_van_galen",
    "malt_lymphoma": "malt_lymphoma",
    "sorted_pbmc": "sorted_pbmc.h5ad",
    "bone_marrow_abseq": "bone_marrow_abseq/bone_marrow_blood_abseq.h5ad",
}
GROUP = ["donor", "sample", "tissue_id", "cell_type_id", "population"]
WHOLE = ("cells", "kept", "donors", "groups", "genes", "umi", "removed")


@pytest.fixture(scope="module")
def figures():
    table = pd.read_csv(FIGURES, sep="\t", comment="#", dtype=str, keep_default_na=False)
    rows = table.set_index("atlas").to_dict("index")
    for row in rows.values():
        row.update({name: int(row[name]) for name in WHOLE})
        for name in ("rejected", "genes_by_resolution"):
            row[name] = json.loads(row[name])
    return rows


@pytest.fixture(scope="module")
def clone_file(realdata, tmp_path_factory):
    """The published table of forty plasma cells as an h5ad file."""
    table = pd.read_csv(realdata / "myeloma_clone/counts.tsv.gz", sep="\t", index_col=0)
    data = ad.AnnData(table.to_numpy(np.float32).T)
    data.obs_names, data.var_names = table.columns, table.index
    path = tmp_path_factory.mktemp("clone") / "clone.h5ad"
    data.write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def ingested(realdata, clone_file, repository):
    """All atlases, read to their last cell, one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        patch.setenv("TARGETSCORE_REALDATA", str(realdata))
        reference = str(realdata / "surface/protein_coding_genes.tsv.gz")
        genes = load_genes("config/knowledge", reference)
        rows = load_registry(["tests/realdata/atlases.tsv"])
        changes = {"malt_lymphoma": {"cell_labels": "", "cell_type": "=B cell"}}
        found = {}
        for name in [*PLACES, "myeloma_clone"]:
            row = rows[name].model_copy(update=changes.get(name, {}))
            place = str(realdata / PLACES[name]) if name in PLACES else str(clone_file)
            made = ingest_atlas(row, place, genes, "atlases.tsv")
            looked = assess_samples(
                row,
                place,
                "atlases.tsv",
                made.cells,
                made.genes,
                Ingesting(doublets=False),
                load_programmes("config/knowledge", genes),
            )
            found[name] = (made, looked)
    return found


@pytest.mark.parametrize("atlas", [*PLACES, "myeloma_clone"])
def test_figures_of_each_atlas(ingested, figures, atlas):
    made, looked = ingested[atlas]
    for table, contract in ((made.cells, CELLS), (made.rejected, REJECTED), (made.genes, GENES)):
        contract.check(table, contract.name)
    assert {
        "cells": made.summary["n_cells"],
        "kept": len(made.cells),
        "rejected": made.summary["rejected"],
        "donors": made.cells["donor"].nunique(),
        "groups": len(made.cells[GROUP].astype(str).drop_duplicates()),
        "genes": len(made.genes),
        "genes_by_resolution": made.summary["genes_by_resolution"],
        "umi": int(looked.quality["n_counts"].sum()),
        "removed": len(looked.removed),
    } == figures[atlas]
    assert len(made.cells) + len(made.rejected) == made.summary["n_cells"]


def names_of(realdata, curated):
    """Approved symbols, former symbols and aliases, told apart by plain dictionaries."""
    approved, former, alias, elsewhere = {}, {}, {}, set()
    tables = [curated / "genes.tsv", realdata / "surface/protein_coding_genes.tsv.gz"]
    for path in tables:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt") as stream:
            lines = (line for line in stream if not line.startswith("#"))
            for row in csv.DictReader(lines, delimiter="\t"):
                gene = row["ensembl_gene_id"]
                if not gene or approved.get(row["symbol"], gene) != gene:
                    continue
                approved[row["symbol"]] = gene
                for column, names in (("previous_symbols", former), ("aliases", alias)):
                    for name in filter(None, row.get(column, "").split("|")):
                        if name != "-":
                            names.setdefault(name, set()).add(gene)
                if path.suffix == ".tsv":
                    elsewhere |= {e.split(":")[0] for e in row["ambiguous_aliases"].split("|")}
    return approved, former, alias, elsewhere


def kinds(names, known):
    """How each gene name is resolved, by the order of specification C0."""
    approved, former, alias, elsewhere = known
    folded = {name.casefold(): gene for name, gene in approved.items()}
    present = set(names)
    sure = {folded[n.casefold()] for n in names if n.casefold() in folded}
    found = []
    for name in names:
        gene = None
        if name.casefold() in folded:
            kind = "approved_symbol"
        elif len(former.get(name, ())) == 1:
            kind, gene = "previous_symbol", next(iter(former[name]))
        elif len(alias.get(name, ())) == 1 and name not in elsewhere:
            kind, gene = "alias", next(iter(alias[name]))
        else:
            base, dash, number = name.replace(".", "-").rpartition("-")
            copy = dash and number.isdigit() and name[: len(base)] in present
            several = len(alias.get(name, ())) > 1 or (name in alias and name in elsewhere)
            kind = "ambiguous" if copy or several else "unresolved"
        found.append("ambiguous" if gene in sure else kind)
    return dict(sorted(Counter(found).items()))


def plain_text(path):
    """Names of cells and genes, sums per cell and failing cells of a table of text."""
    with gzip.open(path, "rt") as stream:
        cells = stream.readline().rstrip("\n").split("\t")[1:]
        sums, n_genes, mito = np.zeros((3, len(cells)), dtype=np.int64)
        genes = []
        for line in stream:
            gene, values = line.rstrip("\n").split("\t", 1)
            genes.append(gene)
            counts = np.array(values.split("\t"), dtype=np.int64)
            sums += counts
            n_genes += counts > 0
            mito += counts * gene.startswith("MT-")
    return cells, genes, sums, fail(sums, n_genes, mito)


def fail(sums, n_genes, mito):
    """Cells that the default limits leave out, where no cell type is rich in mitochondria."""
    return (sums < 500) | (n_genes < 200) | (mito > 0.2 * sums)


def test_leukaemia_by_plain_reading(realdata, repository, figures):
    expected = figures["aml_van_galen"]
    n, unclear, umi, donors, groups = 0, 0, 0, set(), set()
    for anno in sorted((realdata / "aml_van_galen").glob("*.anno.txt.gz")):
        sample = anno.name.split("_", 1)[1].removesuffix(".anno.txt.gz")
        (dem,) = (realdata / "aml_van_galen").glob(f"*_{sample}.dem.txt.gz")
        cells, genes, sums, fails = plain_text(dem)
        assert not fails.any()
        with gzip.open(anno, "rt") as stream:
            said = {r["Cell"]: r for r in csv.DictReader(stream, delimiter="\t")}
        assert [int(said[c]["TranscriptomeUMIs"]) for c in cells] == sums.tolist()
        n += len(cells)
        for cell, total in zip(cells, sums, strict=True):
            if said[cell]["PredictionRefined"] == "unclear":
                unclear += 1
                continue
            umi += int(total)
            donors.add(sample.split("-")[0])
            kind = said[cell]["CellType"]
            call = said[cell]["PredictionRefined"] if sample.startswith("AML") else "healthy"
            groups.add((sample, kind.removesuffix("-like"), call == "malignant"))
    assert (n, n - unclear, umi) == (expected["cells"], expected["kept"], expected["umi"])
    assert expected["rejected"] == {"malignancy_unclear": unclear}
    assert (len(donors), len(genes)) == (expected["donors"], expected["genes"])
    assert len(groups) == expected["groups"]
    known = names_of(realdata, repository / "config/knowledge")
    assert kinds(genes, known) == expected["genes_by_resolution"]


def test_forty_plasma_cells_by_plain_reading(realdata, repository, figures):
    expected = figures["myeloma_clone"]
    cells, genes, sums, fails = plain_text(realdata / "myeloma_clone/counts.tsv.gz")
    assert (len(cells), len(genes)) == (expected["cells"], expected["genes"])
    with open(realdata / "myeloma_clone/cells.tsv") as stream:
        truth = Counter(row["label"] for row in csv.DictReader(stream, delimiter="\t"))
    assert sorted(truth.values()) == [20, 20]
    assert fails.sum() == expected["removed"]
    assert sum(expected["rejected"].values()) + expected["kept"] == len(cells) == 40
    if not expected["rejected"]:
        assert int(sums.sum()) == expected["umi"]
    known = names_of(realdata, repository / "config/knowledge")
    assert kinds(genes, known) == expected["genes_by_resolution"]


def test_lymphoma_by_plain_reading(realdata, repository, figures):
    expected = figures["malt_lymphoma"]
    folder = realdata / "malt_lymphoma"
    with gzip.open(folder / "features.tsv.gz", "rt") as stream:
        genes = [line.split("\t")[0] for line in stream]
    with gzip.open(folder / "barcodes.tsv.gz", "rt") as stream:
        n_cells = sum(1 for _ in stream)
    with gzip.open(folder / "matrix.mtx.gz", "rt") as stream:
        lines = (line for line in stream if not line.startswith("%"))
        shape = [int(v) for v in next(lines).split()]
        parts = np.array([line.split() for line in lines], dtype=np.int64)
    gene, cell, count = parts.T
    mitochondrial = np.array([name.startswith("MT-") for name in genes])[gene - 1]
    sums, n_genes, mito = (
        np.bincount(cell - 1, weights, n_cells) for weights in (count, None, count * mitochondrial)
    )
    umi = int(count.sum())
    assert fail(sums, n_genes, mito).sum() == expected["removed"]
    assert shape[:2] == [len(genes), n_cells]
    assert (n_cells, len(genes), umi) == (expected["cells"], expected["genes"], expected["umi"])
    known = names_of(realdata, repository / "config/knowledge")
    assert kinds(genes, known) == expected["genes_by_resolution"]


@pytest.mark.parametrize(
    ("atlas", "place", "labels"),
    [("sorted_pbmc", "X", ("cell_type",)), ("bone_marrow_abseq", "layers/counts", ("Batch", "ct"))],
)
def test_h5ad_by_plain_reading(realdata, repository, figures, atlas, place, labels):
    expected = figures[atlas]
    with h5py.File(realdata / PLACES[atlas]) as file:
        matrix = file[place]
        umi = (matrix["data"][:] if isinstance(matrix, h5py.Group) else matrix[:]).sum()
        index = file["var"].attrs["_index"]
        genes = file[f"var/{index}"].asstr()[:].tolist()
        codes = [file[f"obs/{name}"]["codes"][:] for name in labels]
    assert (len(codes[0]), len(genes), int(umi)) == tuple(
        expected[name] for name in ("cells", "genes", "umi")
    )
    assert len(set(zip(*codes, strict=True))) == expected["groups"]
    assert expected["rejected"] == {}
    assert expected["donors"] == 1
    known = names_of(realdata, repository / "config/knowledge")
    assert kinds(genes, known) == expected["genes_by_resolution"]


def test_the_panel_genes_a_file_lacks_are_absent_not_zero(ingested):
    measured = {name: set(made.genes["symbol"]) for name, (made, _) in ingested.items()}
    assert not {"GPRC5D", "SDC1"} & measured["sorted_pbmc"]
    six = {"TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "CD38", "SDC1"}
    assert measured["bone_marrow_abseq"] & six == {"CD19", "CD38"}
    assert six <= measured["aml_van_galen"] & measured["malt_lymphoma"] & measured["myeloma_clone"]


def test_a_targeted_panel_keeps_all_its_cells_and_says_why(ingested):
    filters = ingested["bone_marrow_abseq"][1].summary["quality"]["filters"]
    assert filters["too_few_genes"] == "not applied: targeted panel of 462 genes"
    assert filters["mitochondrial_rna"] == "not applied: no mitochondrial genes measured"


def test_plasmablasts_among_monocytes_and_naive_t_cells(realdata, ingested):
    """Plain truth: cells with a count of TNFRSF17, which is no marker of the programme."""
    data = ad.read_h5ad(realdata / "sorted_pbmc.h5ad")
    bcma = np.asarray(
        data[:, "TNFRSF17"].X.todense() if hasattr(data.X, "todense") else data[:, "TNFRSF17"].X
    )
    label = data.obs["cell_type"].to_numpy()
    _, looked = ingested["sorted_pbmc"]
    shown = (looked.quality["foreign_programme"] == "plasma cell").to_numpy()
    for name, n_known, n_all in (("monocytes", 16, 129), ("naivet", 6, 52)):
        own = label == name
        known = own & (bcma.ravel() > 0)
        assert (known.sum(), own.sum()) == (n_known, n_all)
        assert shown[known].all()
        assert (shown & own & ~known).sum() <= 2, "of these cells the other genes say the same"
    others = ~np.isin(label, ["monocytes", "naivet"])
    assert shown[others].sum() <= 2
    assert not shown[label == "bcells"].any(), "B cells may become plasma cells"

    rows = looked.contamination.astype({"gene_id": str, "cell_type": str})
    row = rows[(rows["gene_id"] == "ENSG00000048462") & (rows["cell_type"] == "monocyte")].iloc[0]
    assert (row["n_cells"], row["n_detected"]) == (129, 16)
    assert row["n_flagged_detected"] == 16, "without these cells no monocyte shows TNFRSF17"
    assert looked.removed.empty, "they stay unless the user says otherwise"
