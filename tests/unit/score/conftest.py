"""A tiny world of cells whose profile files are written by independent, plain code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from targetscore import io
from targetscore.config import Indication, Scoring
from targetscore.contracts import AMBIENT, AMBIENT_RATES, EXPRESSION, GENES, GROUPS
from targetscore.genes import GeneTable
from targetscore.score import AtlasProfile, score_indication

ENSEMBL = {
    "AAA1": "ENSG00000000001",
    "BBB2": "ENSG00000000002",
    "CCC3": "ENSG00000000003",
    "ADAM10": "ENSG00000000010",
    "FILL": "ENSG00000000099",
}
BLOOD, MARROW, LIVER = "UBERON:0000178", "UBERON:0002371", "UBERON:0002107"
PLASMA, T_CELL, HEPATOCYTE = "CL:0000786", "CL:0000084", "CL:0000182"
SOURCE = {"source": "test", "status": "design"}


class Cells:
    """Cells added donor by donor, then written as the stage files of each atlas."""

    def __init__(self, genes=("AAA1", "BBB2", "FILL")):
        self.genes = {}
        self.default_genes = list(genes)
        self.batches = []
        self.soup = {}

    def measure(self, atlas, genes):
        self.genes[atlas] = list(genes)
        return self

    def add(
        self,
        atlas,
        donor,
        counts,
        *,
        cell_type=PLASMA,
        tissue=MARROW,
        population="diseased",
        sizes=None,
        assay="10x 3' v3",
        suspension="cell",
        disease="MONDO:0009693",
        sample=None,
        doublet="not_assessed",
    ):
        n = max((len(v) for v in counts.values()), default=0)
        self.batches.append(
            {
                "atlas": atlas,
                "donor": donor,
                "sample": sample or donor,
                "tissue_id": tissue,
                "tissue": tissue,
                "cell_type_id": cell_type,
                "cell_type": cell_type,
                "assay": assay,
                "suspension": suspension,
                "disease": disease if population != "healthy" else "normal",
                "population": population,
                "doublet": doublet,
                "counts": {g: np.asarray(v, dtype=np.int64) for g, v in counts.items()},
                "sizes": np.full(n, 4000) if sizes is None else np.asarray(sizes, dtype=np.int64),
            }
        )
        return self

    def empty_droplets(self, atlas, sample, rates, *, tissue=MARROW):
        """Say what empty droplets of a sample measured: UMI of each gene per UMI of a library."""
        key = {"donor": sample, "sample": sample, "tissue_id": tissue, "assay": "10x 3' v3"}
        self.soup.setdefault(atlas, []).append(({**key, "suspension": "cell"}, rates))
        return self

    def healthy(self, donors, counts, *, atlas="normal", **more):
        """Add the same cells for several healthy donors."""
        for donor in range(donors):
            self.add(atlas, f"H{donor}", counts, population="healthy", **more)
        return self

    def write(self, folder):
        folder = Path(folder)
        profiles = {}
        for atlas in sorted({b["atlas"] for b in self.batches} | set(self.genes)):
            genes = self.genes.get(atlas, self.default_genes)
            own = [b for b in self.batches if b["atlas"] == atlas]
            groups, rows = [], []
            for number, batch in enumerate(own):
                sizes = batch["sizes"]
                bins = Counter(int(np.floor(16 * np.log2(s))) for s in sizes if s > 0)
                text = {k: v for k, v in batch.items() if k not in ("counts", "sizes")}
                groups.append(
                    {
                        "group_id": number,
                        **text,
                        "n_cells": len(sizes),
                        "total_counts": int(sizes.sum()),
                        "library_counts": int(sizes.sum()),
                        "n_empty_libraries": int((sizes == 0).sum()),
                        "library_bin": sorted(bins),
                        "library_cells": [bins[b] for b in sorted(bins)],
                    }
                )
                for gene, x in batch["counts"].items():
                    if gene in genes and x.sum():
                        rows.append(_expression(number, ENSEMBL[gene], x, sizes))
            here = {
                k: str(folder / atlas / f"{k}.parquet") for k in ("groups", "expression", "genes")
            }
            io.write_table(
                pd.DataFrame(groups, columns=GROUPS.names) if groups else GROUPS.empty(),
                here["groups"],
                GROUPS,
                {},
            )
            expression = pd.DataFrame(rows) if rows else EXPRESSION.empty()
            io.write_table(expression, here["expression"], EXPRESSION, {})
            io.write_table(_genes(genes), here["genes"], GENES, {})
            here |= _write_soup(self.soup.get(atlas, []), folder / atlas)
            profiles[atlas] = AtlasProfile(atlas, **here, simulated=atlas == "invented")
        return profiles


def _write_soup(soup, folder):
    samples = [
        {**key, "source": "empty_droplets", "share": 0.02, "n_cells": 100, "n_empty": 300}
        for key, _ in soup
    ]
    rates = [
        {**key, "gene_id": ENSEMBL[gene], "rate": rate}
        for key, of in soup
        for gene, rate in of.items()
    ]
    made = {}
    for name, contract, rows in (
        ("ambient", AMBIENT, samples),
        ("ambient_rates", AMBIENT_RATES, rates),
    ):
        made[name] = str(folder / f"{name}.parquet")
        table = pd.DataFrame(rows) if rows else contract.empty()
        io.write_table(table, made[name], contract, {})
    return made


def _expression(number, gene_id, x, sizes):
    log = np.log1p(1e4 * x / np.maximum(sizes, 1))
    thinned = 0.0
    for count, size in zip(x.tolist(), sizes.tolist(), strict=True):
        thinned += (1 - (1 - 2000 / size) ** count) if size > 2000 else float(count > 0)
    return {
        "group_id": number,
        "gene_id": gene_id,
        "n_detected": int((x > 0).sum()),
        "thinned_detected": thinned,
        "sum_counts": int(x.sum()),
        "sum_log1p_cp10k": float(log.sum()),
        "sumsq_log1p_cp10k": float((log**2).sum()),
    }


def _genes(symbols):
    return pd.DataFrame(
        {
            "column": np.arange(len(symbols), dtype=np.int32),
            "original_id": [ENSEMBL[s] for s in symbols],
            "original_symbol": list(symbols),
            "gene_id": [ENSEMBL[s] for s in symbols],
            "symbol": list(symbols),
            "resolution": "ensembl_id",
            "masked": False,
        }
    )


def _table(columns, rows):
    return pd.DataFrame(rows, columns=columns)


def tier_row(label, cell_type_id, tier, toxicity_class, **more):
    return {
        "label": label,
        "cell_type_id": cell_type_id,
        "cell_type": label,
        "tissue_id": "",
        "tissue": "",
        "tissue_required": "no",
        "tier": float(tier),
        "tier_with_rescue": float("nan"),
        "tier_by_disease": "",
        "toxicity_class": toxicity_class,
        "assessable": "scRNA",
        "rationale": "test",
        **SOURCE,
        **more,
    }


def small_knowledge(**tables):
    """Curated tables of a world with four tier rows and three antigens."""
    symbols = ["AAA1", "BBB2", "CCC3"]
    base = {
        "genes": pd.DataFrame(
            {"symbol": list(ENSEMBL), "ensembl_gene_id": list(ENSEMBL.values()), **SOURCE}
        ),
        "antigens": pd.DataFrame(
            [
                {
                    "symbol": s,
                    "display": f"{s} antigen",
                    "role": "panel",
                    "contexts": "",
                    "rna_scorable": "yes",
                    "not_scorable_reason": "",
                    **SOURCE,
                }
                for s in symbols
            ]
        ),
        "surface": pd.DataFrame(
            [
                {
                    "symbol": s,
                    "topology": "type_I",
                    "tm_helices": 1.0,
                    "ectodomain_aa": 200.0,
                    "clinical_binder": "binder",
                    "cspa": "high",
                    "uniprot": 1.0,
                    "go": "none",
                    "hpa": 0.0,
                    "surfy_score": 0.8,
                    **SOURCE,
                }
                for s in symbols
            ]
        ),
        "shedding": pd.DataFrame(
            [
                {"symbol": s, "item": i, "value": v, "finding": "test", **SOURCE}
                for s in symbols
                for i, v in (
                    ("mechanism", "family"),
                    ("soluble", "baseline"),
                    ("topology", "single_pass"),
                    ("isoform", "none"),
                )
            ]
        ),
        "sheddases": _table(["symbol", "enzyme", "pathway", "rule", "compartment", *SOURCE], []),
        "tiers": pd.DataFrame(
            [
                (1, 0.02, 0.10, 20, 0.9),
                (2, 0.05, 0.25, 50, 0.7),
                (3, 0.10, 0.50, 100, 0.35),
                (4, 0.20, 1.0, 500, 0.1),
            ],
            columns=["tier", "alert_fraction", "saturation_fraction", "saturation_cpm", "weight"],
        ),
        "tissue_tiers": pd.DataFrame(
            [
                tier_row("plasma cell", PLASMA, 4, "B_lineage"),
                tier_row("T cell", T_CELL, 2, "T_cell"),
                tier_row("hepatocyte", HEPATOCYTE, 1, "hepatic"),
                tier_row("erythrocyte", "CL:0000232", 2, "blood", assessable="not_by_RNA"),
            ]
        ),
        "healthy_literature": _table(
            ["symbol", "tier_label", "strength", "must_check", "finding", *SOURCE], []
        ),
    }
    return SimpleNamespace(**(base | tables))


def small_indication(panel=("AAA1", "BBB2"), **more):
    values = {
        "title": "Test disease",
        "disease": {"id": "MONDO:0009693", "label": "plasma cell myeloma"},
        "diseased": {"atlases": ["tumour"]},
        "healthy": {"atlases": ["normal"]},
        "normal_counterpart": {"cell_types": [PLASMA]},
        "candidates": {"panel": list(panel)},
    }
    return Indication.model_validate(values | more)


def small_genes():
    return GeneTable(
        symbols={i: s for s, i in ENSEMBL.items()},
        approved=dict(ENSEMBL),
        aliases={"ALPHA": {ENSEMBL["AAA1"]}},
    )


def ordinary_cells():
    """Five patients rich in AAA1 and poor in BBB2; T cells and hepatocytes without AAA1."""
    cells = Cells()
    for patient in range(5):
        cells.add(
            "tumour", f"P{patient}", {"AAA1": [3] * 90 + [0] * 10, "BBB2": [1] * 10 + [0] * 90}
        )
    silent = {"AAA1": [0] * 100, "BBB2": [2] * 50 + [0] * 50}
    cells.healthy(4, silent, cell_type=T_CELL, tissue=BLOOD)
    cells.healthy(4, silent, cell_type=HEPATOCYTE, tissue=LIVER)
    cells.healthy(4, {"AAA1": [3] * 100, "BBB2": [0] * 100}, cell_type=PLASMA)
    return cells


def one(table, **where):
    """Return the only row of a table with these values."""
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]


@pytest.fixture
def kit():
    """The builders of the small world."""
    return SimpleNamespace(
        ENSEMBL=ENSEMBL,
        BLOOD=BLOOD,
        MARROW=MARROW,
        LIVER=LIVER,
        PLASMA=PLASMA,
        T_CELL=T_CELL,
        HEPATOCYTE=HEPATOCYTE,
        Cells=Cells,
        SOURCE=SOURCE,
        tier_row=tier_row,
        knowledge=small_knowledge,
        indication=small_indication,
        genes=small_genes,
        ordinary=ordinary_cells,
        one=one,
    )


@pytest.fixture
def score(tmp_path):
    """Score a small world: ``score(cells, indication, knowledge, **scoring)``."""
    runs = iter(range(10_000))

    def run(cells, indication=None, knowledge=None, genes=None, **scoring):
        profiles = cells.write(tmp_path / str(next(runs)))
        return score_indication(
            indication or small_indication(),
            profiles,
            knowledge or small_knowledge(),
            genes or small_genes(),
            Scoring(**{"bootstrap": 0} | scoring),  # resampling has its own tests
        )

    return run
