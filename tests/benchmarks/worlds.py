"""Simulated worlds scored from plain sums: draws, adds up, writes stage files, scores.

Sums are made by plain code of its own, so that neither ingest nor profile has a part in what
is measured here. The worlds are invented and by the authors of the score: a pass rate on them
is a regression test of the rules, not evidence that the rules are right.
"""

from collections.abc import Collection
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from targetscore import io
from targetscore.config import Indication, Scoring
from targetscore.contracts import EXPRESSION, GENES, GROUPS
from targetscore.genes import is_masked, load_genes
from targetscore.knowledge import load_knowledge
from targetscore.score import AtlasProfile, ScoreTables, score_indication
from targetscore.simulate import World
from targetscore.simulate import design as design_module
from targetscore.simulate.design import design
from targetscore.simulate.write import blocks

ROOT = Path(__file__).parents[2]
ATLAS = "simulated_myeloma"
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


@contextmanager
def no_escape():
    """Take out the patients who have lost an antigen, as the specification simulated it."""
    kept, design_module.ESCAPE = design_module.ESCAPE, {}
    try:
        yield
    finally:
        design_module.ESCAPE = kept


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
    knowledge = str(ROOT / "config" / "knowledge")
    profile = write_profile(sums, folder, diseased, without)
    return score_indication(
        asked or indication(),
        {ATLAS: profile},
        load_knowledge(knowledge),
        load_genes(knowledge),
        Scoring(bootstrap=0),
    )
