"""The simulated myeloma world: its file and its known truth."""

from __future__ import annotations

import json
import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from targetscore import ontology
from targetscore.genes import ensembl_id, is_masked
from targetscore.simulate import World, donor_truth, truth, write_world
from targetscore.simulate.tables import cell_kinds, genes
from targetscore.simulate.write import CHUNK

ANTIGENS = ("TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "CD38", "SDC1", "FCRL5", "CD46")
PANEL = ("CD33", "IL3RA", "CLEC12A", "FLT3", "CSF1R", "CD86", "CD70", "CD22", "MS4A1")
SHEDDASES = ("PSEN1", "NCSTN", "APH1A", "PSENEN", "ADAM10", "ADAM17", "MMP9", "HPSE")
LIGHT = ("IGKC", "IGLC2", "IGLC3")


@dataclass
class Atlas:
    """A file that was read back."""

    data: anndata.AnnData
    path: Path

    def __post_init__(self) -> None:
        self.obs = self.data.obs
        self.symbols = list(self.data.var["feature_name"])
        self.columns = self.data.X.tocsc()
        unmasked = np.array([not is_masked(s) for s in self.symbols])
        self.library = np.asarray(self.data.X[:, unmasked].sum(axis=1)).ravel()
        self.single = ~self.obs["simulated_doublet"].to_numpy()

    def counts(self, symbol: str) -> np.ndarray:
        return self.columns[:, [self.symbols.index(symbol)]].toarray().ravel()

    def cells(self, **wanted: str) -> np.ndarray:
        keep = np.ones(len(self.obs), dtype=bool)
        for column, value in wanted.items():
            keep &= (self.obs[column] == value).to_numpy()
        return keep


def write_and_read(world: World, folder: Path) -> Atlas:
    path = folder / "world.h5ad"
    write_world(world, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Atlas(anndata.read_h5ad(path), path)


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    return write_and_read(World(), tmp_path_factory.mktemp("natural"))


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    """A world in which the table is the whole truth: no soup, no doublets, equal donors."""
    world = World(seed=4, patients=2, healthy_donors=2, ambient=0, doublets=0, donor_effect=0)
    return write_and_read(world, tmp_path_factory.mktemp("pure"))


def test_file_looks_like_a_published_atlas(atlas: Atlas) -> None:
    matrix = atlas.data.X
    assert isinstance(matrix, sparse.csr_matrix)
    assert matrix.dtype == np.float32
    assert matrix.has_canonical_format
    assert matrix.data.min() >= 1
    assert np.array_equal(matrix.data, np.floor(matrix.data))
    assert 22_000 < matrix.shape[0] < 28_000
    assert matrix.shape[1] == 2000
    assert atlas.path.stat().st_size < 40e6
    with h5py.File(atlas.path) as file:
        assert file["X/data"].compression == "gzip"
        assert file["X/data"].compression_opts == 4
        assert file["X/data"].chunks == (CHUNK,)
    columns = [
        "donor_id",
        "sample_id",
        "cell_type_ontology_term_id",
        "cell_type",
        "tissue_ontology_term_id",
        "tissue",
        "tissue_type",
        "assay",
        "suspension_type",
        "disease_ontology_term_id",
        "disease",
        "is_primary_data",
        "development_stage",
        "malignancy",
        "simulated_doublet",
    ]
    assert list(atlas.obs.columns) == columns
    flags = ["is_primary_data", "simulated_doublet"]
    assert all(isinstance(atlas.obs[c].dtype, pd.CategoricalDtype) for c in set(columns) - {*flags})
    assert all(atlas.obs[c].dtype == bool for c in flags)
    assert not atlas.obs.isna().any().any()


def test_everything_says_simulated(atlas: Atlas) -> None:
    assert atlas.obs.index.str.startswith("SIMULATED_").all()
    assert atlas.obs.index.is_unique
    assert "SIMULATED" in atlas.data.uns["title"]
    assert bool(atlas.data.uns["simulated"]) is True
    assert World(**json.loads(atlas.data.uns["simulation"])) == World()
    invented = ~atlas.data.var.index.isin(genes(500).table["ensembl_gene_id"])
    names = atlas.data.var["feature_name"]
    assert names[invented].str.startswith("SIMULATED").all()
    assert atlas.data.var.index[invented].str.startswith("ENSG99999").all()
    assert (atlas.obs["assay"] == "simulated droplet").all()
    for name in ("cells", "genes", "truth"):
        table = Path(sys.modules[World.__module__].__file__).with_name(f"myeloma_{name}.tsv")
        assert table.read_text().startswith("# SIMULATED: invented numbers, not data\n")


def test_ids_are_terms_and_genes_are_distinct() -> None:
    kinds = cell_kinds()
    for _, row in kinds.iterrows():
        assert ontology.is_term(row.cell_type_id, "CL")
        assert ontology.label(row.cell_type_id) == row.cell_type
        assert ontology.is_term(row.tissue_id, "UBERON")
        assert ontology.label(row.tissue_id) == row.tissue
    assert ontology.label("MONDO:0009693") == "plasma cell myeloma"
    healthy = kinds[kinds["cells_per_healthy_donor"] > 0]
    assert len(healthy) >= 20
    assert healthy["tissue_id"].nunique() >= 8
    every = genes(33_000)
    assert len(set(every.ids)) == len(set(every.symbols)) == 33_000
    assert all(ensembl_id(i) == i for i in every.ids)
    assert set(ANTIGENS + PANEL + SHEDDASES + LIGHT) <= set(every.symbols)
    assert {s for s in every.symbols if is_masked(s)} == {
        s
        for family in ("immunoglobulin", "mitochondrial", "ribosomal")
        for s in every.symbols[every.family(family)]
    }


def test_truth_table_is_whole_and_plausible() -> None:
    table = truth()
    antigen = table[table["section"] == "antigen"]
    assert len(antigen) == len(ANTIGENS) * len(cell_kinds())
    assert not table.duplicated(["label", "symbol"]).any()
    assert table["fraction_expressing"].between(0, 1).all()
    assert ((table["fraction_expressing"] == 0) == (table["mean_umi_per_10k"] == 0)).all()
    known = antigen.set_index(["label", "symbol"])[["fraction_expressing", "mean_umi_per_10k"]]
    assert known.loc[("malignant plasma cell", "TNFRSF17")].tolist() == [0.85, 3]
    assert known.loc[("hair follicle", "GPRC5D")].tolist() == [0.4, 3]
    assert known.loc[("brain mural", "CD19")].tolist() == [0.03, 0.8]
    assert known.loc[("HSPC", "SDC1")].tolist() == [0, 0]
    # More than the whole library cannot be spent on patterns.
    spent = table["fraction_expressing"] * table["mean_umi_per_10k"]
    assert spent.groupby(table["label"]).sum().max() < 5000


def test_donors_and_evidence(atlas: Atlas) -> None:
    patients = atlas.obs[atlas.obs["disease_ontology_term_id"] == "MONDO:0009693"]
    healthy = atlas.obs[atlas.obs["disease_ontology_term_id"] == "PATO:0000461"]
    assert len(patients) + len(healthy) == len(atlas.obs)
    assert patients["donor_id"].nunique() == 8
    assert healthy["donor_id"].nunique() == 5
    assert set(patients["tissue"]) == {"bone marrow"}
    assert not (healthy["malignancy"] == "malignant").any()
    plasma = patients[patients["cell_type"] == "plasma cell"]
    per_patient = plasma.groupby(["donor_id", "malignancy"], observed=True).size().unstack()
    assert (per_patient >= 20).all().all()
    per_donor = healthy.groupby(["tissue", "cell_type", "donor_id"], observed=True).size()
    cells = per_donor.groupby(["tissue", "cell_type"], observed=True).sum()
    donors = (per_donor >= 20).groupby(["tissue", "cell_type"], observed=True).sum()
    assert len(cells) == 22
    assert (cells >= 50).all()
    assert sorted(donors[donors < 3]) == [1, 2]
    assert 0.03 < atlas.obs["simulated_doublet"].mean() < 0.05


def detectable(library: np.ndarray, mean_per_10k: float, shape: float) -> float:
    """Chance that an expressing cell shows the gene, averaged cell by cell."""
    total = 0.0
    for size in library:
        total += 1.0 - (1.0 + mean_per_10k * size / 1e4 / shape) ** -shape
    return total / len(library)


@pytest.mark.parametrize("symbol", ANTIGENS)
def test_fractions_come_back_after_correcting_for_depth(pure: Atlas, symbol: str) -> None:
    table = truth().query("section == 'antigen' and symbol == @symbol").set_index("label")
    escaped = {"GPRC5D": "SIM-MM03", "TNFRSF17": "SIM-MM06"}
    checked = 0
    for label, row in table.iterrows():
        here = (
            pure.cells(cell_type=row.cell_type, tissue=row.tissue, malignancy=row.malignancy)
            & (pure.obs["donor_id"] != escaped.get(symbol, "")).to_numpy()
        )
        seen = float((pure.counts(symbol)[here] > 0).mean())
        if row.fraction_expressing == 0:
            assert seen == 0, label
            continue
        chance = detectable(pure.library[here], row.mean_umi_per_10k, 2.0)
        expected = row.fraction_expressing * chance
        error = math.sqrt(expected * (1 - expected) / here.sum()) / chance
        assert abs(seen / chance - row.fraction_expressing) < 4 * error, label
        counts, library = pure.counts(symbol)[here], pure.library[here]
        expected_mean = row.fraction_expressing * row.mean_umi_per_10k / 1e4
        # Variance of a gamma–Poisson (shape 2) in a fraction of the cells.
        second = row.fraction_expressing * (row.mean_umi_per_10k / 1e4 * library) ** 2 * 1.5
        variance = expected_mean * library + second - (expected_mean * library) ** 2
        residual = float((counts - expected_mean * library).sum())
        assert abs(residual) < 4 * math.sqrt(variance.sum()), label
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize("symbol", ANTIGENS)
def test_patients_differ_as_their_truth_says(atlas: Atlas, symbol: str) -> None:
    table = donor_truth(World()).query("label == 'malignant plasma cell' and symbol == @symbol")
    assert len(table) == 8
    assert table["fraction_expressing"].nunique() == 8
    for _, row in table.iterrows():
        here = atlas.cells(donor_id=row.donor, malignancy="malignant") & atlas.single
        chance = detectable(atlas.library[here], row.mean_umi_per_10k, 2.0)
        seen = float((atlas.counts(symbol)[here] > 0).mean())
        expected = row.fraction_expressing * chance
        error = math.sqrt(expected * (1 - expected) / here.sum()) / chance
        # Soup lifts the library by 3 % and puts 3 % of the mean into every cell.
        soup = 0.03 * (row.fraction_expressing * chance + row.mean_umi_per_10k * 0.24 / chance)
        assert abs(seen / chance - row.fraction_expressing) < 4 * error + soup, row.donor


def test_two_patients_have_lost_an_antigen(atlas: Atlas) -> None:
    for symbol, lost in (("GPRC5D", "SIM-MM03"), ("TNFRSF17", "SIM-MM06")):
        malignant = atlas.cells(malignancy="malignant")
        seen = pd.Series(atlas.counts(symbol)[malignant] > 0)
        by_donor = seen.groupby(atlas.obs["donor_id"][malignant].astype(str).to_numpy()).mean()
        assert by_donor.idxmin() == lost
        assert by_donor[lost] < 0.4 * by_donor.drop(lost).min()


def inverse_shape(counts: np.ndarray, mean: np.ndarray) -> float:
    """Estimate 1/shape of a gamma–Poisson from its factorial moment, given the Poisson means."""
    return float((counts * (counts - 1)).sum() / (mean**2).sum() - 1)


@pytest.mark.parametrize("shape", [0.7, 6.0])
def test_levels_are_gamma_with_the_dispersion_asked_for(shape: float, tmp_path: Path) -> None:
    made = write_and_read(
        World(
            seed=2,
            patients=2,
            healthy_donors=1,
            cells=4000,
            compartments=("marrow",),
            dispersion=shape,
            ambient=0,
            doublets=0,
            donor_effect=0,
        ),
        tmp_path,
    )
    here = made.cells(donor_id="SIM-MM01", malignancy="malignant")
    size = made.library[here]
    fillers = [s for s in made.symbols if s.startswith("SIMULATED")]
    levels = made.columns[:, [made.symbols.index(s) for s in fillers]][here]
    common = np.argsort(np.asarray(levels.sum(axis=0)).ravel(), kind="stable")[-200:]
    found = []
    for column in common:
        counts = levels[:, [column]].toarray().ravel()
        found.append(inverse_shape(counts, counts.sum() / size.sum() * size))
    assert np.median(found) == pytest.approx(1 / shape, rel=0.2)


def test_a_clone_has_one_light_chain_and_normal_plasma_cells_both(atlas: Atlas) -> None:
    chains = np.stack([atlas.counts(s) for s in LIGHT], axis=1)
    clones = {}
    for donor in sorted(set(atlas.obs["donor_id"][atlas.cells(malignancy="malignant")])):
        here = atlas.cells(donor_id=donor, malignancy="malignant") & atlas.single
        share = chains[here].sum(axis=0) / chains[here].sum()
        assert share.max() > 0.98
        clones[donor] = LIGHT[int(share.argmax())]
    assert {"IGKC"} < set(clones.values())
    normal = (
        atlas.cells(cell_type="plasma cell", malignancy="normal", disease="normal") & atlas.single
    )
    own = chains[normal].max(axis=1) / chains[normal].sum(axis=1)
    assert np.quantile(own, 0.05) > 0.9
    kappa = (chains[normal].argmax(axis=1) == 0).mean()
    assert abs(kappa - 0.6) < 4 * math.sqrt(0.24 / normal.sum())


def test_plasma_cells_spend_half_their_umis_on_immunoglobulin(atlas: Atlas) -> None:
    ig = [i for i, s in enumerate(atlas.symbols) if s.startswith("IG") or s == "JCHAIN"]
    total = np.asarray(atlas.data.X.sum(axis=1)).ravel()
    share = np.asarray(atlas.data.X[:, ig].sum(axis=1)).ravel() / total
    plasma = atlas.cells(cell_type="plasma cell")
    assert 0.4 < np.median(share[plasma]) < 0.6
    assert 6000 < np.median(total[plasma]) < 9000
    assert 2000 < np.median(total[atlas.cells(cell_type="neuron")]) < 4000
    assert (
        2000
        < np.median(total[atlas.cells(tissue="bone marrow", cell_type="natural killer cell")])
        < 3000
    )


def test_soup_carries_immunoglobulin_into_t_cells(atlas: Atlas, pure: Atlas) -> None:
    cell_type = "CD4-positive, alpha-beta T cell"

    def leaked(world: Atlas, disease: str) -> np.ndarray:
        here = world.cells(cell_type=cell_type, disease=disease) & world.single
        return sum(world.counts(s)[here] for s in (*LIGHT, "JCHAIN"))

    patients, healthy = leaked(atlas, "plasma cell myeloma"), leaked(atlas, "normal")
    assert np.median(patients) >= 5
    assert np.median(healthy) < np.median(patients)
    assert leaked(pure, "plasma cell myeloma").sum() == 0


def test_sheddases_come_from_their_cells(pure: Atlas) -> None:
    mmp9 = pure.counts("MMP9")
    assert mmp9[pure.cells(cell_type="CD14-positive monocyte")].mean() > 0.02
    assert mmp9[pure.cells(malignancy="malignant")].sum() == 0
    seen = pd.Series(pure.counts("ADAM10")).groupby(pure.obs["cell_type"].to_numpy()).sum()
    assert (seen > 0).all()
