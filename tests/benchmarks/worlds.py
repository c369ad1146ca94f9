"""Simulated worlds scored from plain sums: draws, adds up, writes stage files, scores.

Sums are made by plain code of its own, so that neither ingest nor profile has a part in what
is measured here. The worlds are invented and by the authors of the score: a pass rate on them
is a regression test of the rules, not evidence that the rules are right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from targetscore import io
from targetscore.config import Indication, Scoring
from targetscore.contracts import EXPRESSION, GENES, GROUPS
from targetscore.genes import GeneTable, is_masked, load_genes
from targetscore.knowledge import Knowledge, load_knowledge
from targetscore.score import AtlasProfile, ScoreTables, score_indication
from targetscore.simulate import World
from targetscore.simulate import design as design_module
from targetscore.simulate.design import design
from targetscore.simulate.write import blocks

ROOT = Path(__file__).parents[2]
ATLAS = "simulated_myeloma"
GENES_DRAWN = 500
SIX = ("TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "CD38", "SDC1")
PANEL = (*SIX, "FCRL5", "CD46")
B_LINEAGE = ["lymphocyte of B lineage", "pro-B cell"]
TUMOUR = "malignant plasma cell"
SKIN = ("keratinocyte", "hair follicle")
SOLID = (
    "hepatocyte",
    "colon epithelium",
    "lung epithelium",
    "lung macrophage",
    "cardiomyocyte",
    "neuron",
    "brain mural",
    "endothelium",
    "proximal tubule",
)
ATLASES = {"whole": (), "no skin": SKIN, "marrow only": SKIN + SOLID}


@dataclass(frozen=True)
class Sums:
    """One world added up: groups, and per group and gene the sums; ``cells`` of the tumour.

    ``cells`` is the thinned detection of the panel in each tumour cell, ``(n_cells, 8)``.
    """

    groups: pd.DataFrame
    symbols: list[str]
    ids: list[str]
    detected: np.ndarray
    thinned: np.ndarray
    counts: np.ndarray
    cells: np.ndarray


@dataclass(frozen=True)
class Setting:
    """What a world has besides the truth.

    Attributes
    ----------
    depth
        Median UMI per cell without masked genes, of every kind of cell; None: as the
        demonstration has them, 2,320 in malignant plasma cells and 1,330 in naive B cells.
    escape
        Whether two patients have all but lost an antigen.
    donors_differ
        Standard deviation of log levels between donors.
    ambient, doublets
        Share of UMIs that are free RNA, and of droplets that hold two cells.
    """

    depth: float | None = 4000.0
    escape: bool = False
    donors_differ: float = 0.0
    ambient: float = 0.0
    doublets: float = 0.0

    def add_up(self, seed: int, dispersion: float = 2.0, thin: float = 1.0) -> Sums:
        """Draw the world of a seed and add it up."""
        world = World(
            seed=seed,
            genes=GENES_DRAWN,
            dispersion=dispersion,
            donor_effect=self.donors_differ,
            ambient=self.ambient,
            doublets=self.doublets,
        )
        with _altered(self.depth, self.escape):
            return add_up(world, thin, seed)


# The specification's own simulation (C8) has the truth and nothing else. It does not say how
# deep its cells are; those of its reference vectors have 3,000 to 5,000 UMI.
PLAIN = Setting()
DEMONSTRATION = Setting(
    None,
    escape=True,
    donors_differ=World().donor_effect,
    ambient=World().ambient,
    doublets=World().doublets,
)
DEPARTURES = {
    "the specification's simulation (C8)": PLAIN,
    "donors differ": replace(PLAIN, donors_differ=DEMONSTRATION.donors_differ),
    "free RNA and doublets": replace(
        PLAIN, ambient=DEMONSTRATION.ambient, doublets=DEMONSTRATION.doublets
    ),
    "two patients lost an antigen": replace(PLAIN, escape=True),
    "libraries of the demonstration": replace(PLAIN, depth=None),
    "all of these: the demonstration": DEMONSTRATION,
}


@contextmanager
def _altered(depth: float | None, escape: bool) -> Iterator[None]:
    """Change what ``World`` has no parameter for."""
    kept = design_module.ESCAPE, design_module.cell_kinds

    def kinds() -> pd.DataFrame:
        table = kept[1]()
        if depth is not None:
            masked = table["ig_share"] + table["mito_share"] + table["ribo_share"]
            table["median_umi"] = depth / (1 - masked)
        return table

    design_module.ESCAPE = kept[0] if escape else {}
    design_module.cell_kinds = kinds
    try:
        yield
    finally:
        design_module.ESCAPE, design_module.cell_kinds = kept


def add_up(world: World, thin: float = 1.0, seed: int = 0) -> Sums:
    """Draw a world and add it up per sample and kind of cell; ``thin`` keeps a share of UMIs."""
    plan = design(world)
    symbols, ids = plan.genes.symbols, plan.genes.ids
    counted = ~np.array([is_masked(s) for s in symbols])
    rng = np.random.default_rng(seed)
    shape = (len(plan.samples), len(plan.kinds), len(symbols))
    detected, thinned, counts = (np.zeros(shape) for _ in range(3))
    sizes: dict[tuple[int, int], list[np.ndarray]] = {}
    panel = np.array([symbols.index(s) for s in PANEL])
    tumour = int(np.flatnonzero(plan.kinds["label"] == TUMOUR)[0])
    cells = []
    for block in blocks(plan):
        data = block.data.astype(np.int64)
        if thin < 1:
            data = rng.binomial(data, thin)
        cell = np.repeat(np.arange(len(block.kinds)), block.per_cell)
        library = np.bincount(
            cell, data * counted[block.indices], minlength=len(block.kinds)
        ).astype(np.int64)
        size = library[cell]
        deep = size > 2000
        q = np.where(deep, 1 - (1 - 2000 / np.maximum(size, 2000)) ** data, data > 0)
        where = block.kinds[cell] * len(symbols) + block.indices
        here = block.sample
        for total, values in ((detected, data > 0), (thinned, q), (counts, data)):
            flat = np.bincount(where, values, minlength=shape[1] * shape[2])
            total[here] += flat.reshape(shape[1:])
        dense = np.zeros((len(block.kinds), len(symbols)))
        dense[cell, block.indices] = q
        cells.append(dense[np.ix_(block.kinds == tumour, panel)])
        for kind in np.unique(block.kinds):
            sizes.setdefault((here, int(kind)), []).append(library[block.kinds == kind])
    rows, keep = [], []
    for (number, kind), parts in sorted(sizes.items()):
        sample, who = plan.samples[number], plan.kinds.iloc[kind]
        rows.append(_group(len(rows), sample, who, np.concatenate(parts)))
        keep.append((number, kind))
    at = tuple(np.array(keep).T)
    return Sums(
        pd.DataFrame(rows),
        symbols,
        ids,
        detected[at],
        thinned[at],
        counts[at],
        np.concatenate(cells),
    )


def repeat_donor(sums: Sums, donor: str, times: int) -> Sums:
    """Return a world in which every cell of one donor is there several times."""
    own = (sums.groups["donor"] == donor).to_numpy()
    factor = np.where(own, times, 1)
    groups = sums.groups.copy()
    for column in ("n_cells", "total_counts", "library_counts", "n_empty_libraries"):
        groups[column] = groups[column] * factor
    groups["library_cells"] = [
        [int(c * f) for c in cells]
        for cells, f in zip(groups["library_cells"], factor, strict=True)
    ]
    scaled = (a * factor[:, None] for a in (sums.detected, sums.thinned, sums.counts))
    return Sums(groups, sums.symbols, sums.ids, *scaled, sums.cells)


def _group(number, sample, who, sizes):
    bins, cells = np.unique(
        np.floor(16 * np.log2(sizes[sizes > 0])).astype(np.int64), return_counts=True
    )
    return {
        "group_id": number,
        "atlas": ATLAS,
        "donor": sample.donor,
        "sample": sample.name,
        "tissue_id": who["tissue_id"],
        "tissue": who["tissue"],
        "cell_type_id": who["cell_type_id"],
        "cell_type": who["cell_type"],
        "assay": "simulated droplet",
        "suspension": "cell",
        "disease": "MONDO:0009693" if sample.patient else "normal",
        "population": "healthy",
        "doublet": "not_assessed",
        "n_cells": len(sizes),
        "total_counts": int(sizes.sum()),
        "library_counts": int(sizes.sum()),
        "n_empty_libraries": int((sizes == 0).sum()),
        "library_bin": bins.tolist(),
        "library_cells": cells.tolist(),
        "label": who["label"],
        "patient": sample.patient,
    }


def write_profile(
    sums: Sums,
    folder: str | Path,
    diseased: Collection[str] = (TUMOUR,),
    without: Collection[str] = (),
) -> AtlasProfile:
    """Write the stage files of a world; ``without`` names healthy kinds that were not measured.

    ``diseased`` are the kinds of cell called diseased in patients; with others than the tumour
    the world plays another disease.
    """
    groups = sums.groups
    use = ~(groups["label"].isin(without) & ~groups["patient"])
    if TUMOUR not in diseased:
        use &= groups["label"] != TUMOUR
    beside_labels = {"normal plasma cell", "plasmablast"} - set(diseased)
    sick = groups["patient"] & groups["label"].isin(diseased)
    beside = groups["patient"] & groups["label"].isin(beside_labels)
    population = np.select(
        [sick, beside, groups["patient"]],
        ["diseased", "normal_counterpart", "microenvironment"],
        "healthy",
    )
    table = groups.assign(population=population)[use]
    paths = {k: str(Path(folder) / f"{k}.parquet") for k in ("groups", "expression", "genes")}
    io.write_table(table[GROUPS.names], paths["groups"], GROUPS, {})
    rows, columns = np.nonzero((sums.counts > 0) & use.to_numpy()[:, None])
    nothing = np.zeros(len(rows))
    expression = pd.DataFrame(
        {
            "group_id": rows.astype(np.int32),
            "gene_id": np.array(sums.ids)[columns],
            "n_detected": sums.detected[rows, columns].astype(np.int64),
            "thinned_detected": sums.thinned[rows, columns],
            "sum_counts": sums.counts[rows, columns].astype(np.int64),
            "sum_log1p_cp10k": nothing,
            "sumsq_log1p_cp10k": nothing,
        }
    )
    io.write_table(expression, paths["expression"], EXPRESSION, {})
    genes = pd.DataFrame(
        {
            "column": np.arange(len(sums.ids), dtype=np.int32),
            "original_id": sums.ids,
            "original_symbol": sums.symbols,
            "gene_id": sums.ids,
            "symbol": sums.symbols,
            "resolution": "ensembl_id",
            "masked": [is_masked(s) for s in sums.symbols],
        }
    )
    io.write_table(genes, paths["genes"], GENES, {})
    return AtlasProfile(ATLAS, **paths, simulated=True)


def indication(panel: Collection[str] = PANEL, **more: object) -> Indication:
    """Return multiple myeloma on the simulated atlas; keywords replace its fields."""
    values = {
        "title": "Simulated",
        "disease": {"id": "MONDO:0009693", "label": "plasma cell myeloma"},
        "diseased": {"atlases": [ATLAS]},
        "healthy": {"atlases": [ATLAS]},
        "normal_counterpart": {"cell_types": ["plasma cell"]},
        "tolerated": {"cell_types": B_LINEAGE},
        "candidates": {"panel": list(panel)},
    }
    return Indication.model_validate(values | more)


def score_world(
    sums: Sums,
    folder: str | Path,
    asked: Indication | None = None,
    diseased: Collection[str] = (TUMOUR,),
    without: Collection[str] = (),
) -> ScoreTables:
    """Score a world with the committed knowledge and the default parameters."""
    profile = write_profile(sums, folder, diseased, without)
    asked = asked or indication()
    return score_indication(asked, {ATLAS: profile}, *_committed(), Scoring(bootstrap=0))


@lru_cache(maxsize=1)
def _committed() -> tuple[Knowledge, GeneTable]:
    folder = str(ROOT / "config" / "knowledge")
    return load_knowledge(folder), load_genes(folder)
