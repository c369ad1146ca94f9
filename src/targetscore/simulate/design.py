"""Who is in a simulated world: samples, their cells, and what donors do to the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.simulate.tables import Genes, cell_kinds, genes, patterns
from targetscore.simulate.world import World

# Patients (from 1) whose tumour has all but lost an antigen, so that escape can be seen.
ESCAPE = {3: "GPRC5D", 6: "TNFRSF17"}
ESCAPE_FACTOR = 0.08
FILLER_SPREAD = 1.8
# Substreams of the seed; a sample draws the same numbers whatever else is in the world.
_WORLD, _DONOR, _SAMPLE, CELLS = range(4)


@dataclass(frozen=True)
class Sample:
    """One tissue of one donor.

    Attributes
    ----------
    number
        Donor number from 1, among patients or among healthy donors.
    tissue
        Number of the tissue in the table of cell kinds, from 0.
    kinds, n_cells
        Rows of the table of cell kinds and cells of each, ``(n_kinds_here,)``.
    """

    patient: bool
    number: int
    tissue: int
    tissue_name: str
    kinds: NDArray[np.int64]
    n_cells: NDArray[np.int64]

    @property
    def donor(self) -> str:
        """Donor id."""
        return f"SIM-{'MM' if self.patient else 'HD'}{self.number:02d}"

    @property
    def name(self) -> str:
        """Sample id."""
        return f"{self.donor}_{self.tissue_name.replace(' ', '_')}"

    def stream(self, world: World, *key: int) -> np.random.Generator:
        """Return a random stream of this sample."""
        where = (key[0], int(self.patient), self.number, self.tissue, *key[1:])
        return np.random.default_rng(np.random.SeedSequence(world.seed, spawn_key=where))


@dataclass(frozen=True)
class Design:
    """A world before its cells are drawn.

    Attributes
    ----------
    fillers
        Log level of the filler genes in each kind of cell, ``(n_kinds, n_fillers)``.
    """

    world: World
    genes: Genes
    kinds: pd.DataFrame
    samples: list[Sample]
    fillers: NDArray[np.float64]


def design(world: World) -> Design:
    """Lay out a world: its samples and the programmes of its kinds of cells."""
    kinds, all_genes = cell_kinds(), genes(world.genes)
    return Design(world, all_genes, kinds, _samples(world, kinds), _programmes(world, kinds))


def _samples(world: World, kinds: pd.DataFrame) -> list[Sample]:
    tissues = list(dict.fromkeys(kinds["tissue"]))
    here = kinds["compartment"].isin(world.compartments)
    samples = []
    for patient, donors in ((True, world.patients), (False, world.healthy_donors)):
        column = "cells_per_patient" if patient else "cells_per_healthy_donor"
        limit = float("inf") if patient else kinds["healthy_donors"].fillna(float("inf"))
        for number in range(1, donors + 1):
            for t, tissue in enumerate(tissues):
                given = here & (kinds["tissue"] == tissue) & (kinds[column] > 0)
                rows = np.flatnonzero(given & (limit >= number))
                n_cells = kinds[column].to_numpy(np.int64)[rows]
                samples.append(Sample(patient, number, t, tissue, rows, n_cells))
    natural = sum(int(s.n_cells.sum()) for s in samples)
    scale = 1.0 if world.cells is None else world.cells / natural
    scaled = [
        Sample(
            s.patient,
            s.number,
            s.tissue,
            s.tissue_name,
            s.kinds,
            np.floor(s.n_cells * scale + 0.5).astype(np.int64),
        )
        for s in samples
    ]
    return [s for s in scaled if s.n_cells.sum()]


def _programmes(world: World, kinds: pd.DataFrame) -> NDArray[np.float64]:
    stream = np.random.default_rng(np.random.SeedSequence(world.seed, spawn_key=(_WORLD,)))
    everyone = genes(world.genes).fillers
    shape = (len(kinds), everyone.stop - everyone.start)
    level = stream.normal(0, FILLER_SPREAD, shape[1]) + stream.normal(0, 0.4, shape)
    level += 2.0 * (stream.random(shape) < 0.03)
    tumour = kinds["label"] == "malignant plasma cell"
    origin = int(np.flatnonzero(kinds["label"] == "normal plasma cell")[0])
    level[tumour] = level[origin] + stream.normal(0, 0.4, shape[1])
    return level


def filler_levels(plan: Design, sample: Sample) -> NDArray[np.float64]:
    """Return the relative levels of the filler genes in a sample, ``(n_kinds_here, n_fillers)``.

    A donor shifts every gene a little in all kinds of cells, a clone its own much more.
    """
    where = (_DONOR, int(sample.patient), sample.number)
    stream = np.random.default_rng(np.random.SeedSequence(plan.world.seed, spawn_key=where))
    effect = plan.world.donor_effect
    n_fillers = plan.fillers.shape[1]
    shift = stream.normal(0, effect, n_fillers)
    clone = stream.normal(0, 2 * effect, n_fillers)
    malignant = plan.kinds["malignancy"].to_numpy()[sample.kinds] == "malignant"
    return np.exp(plan.fillers[sample.kinds] + shift + malignant[:, None] * clone)


def levels(plan: Design, sample: Sample) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return what the truth has become in one sample.

    The logit of the fraction and the log of the mean vary between donors with the standard
    deviation ``donor_effect``; 0 stays 0.

    Returns
    -------
    tuple
        Fraction expressing and mean UMI per UMI of the pattern genes, each
        ``(n_kinds_here, n_pattern_genes)``, and the depth of the sample (1 is the table's).
    """
    stream = sample.stream(plan.world, _SAMPLE)
    fraction, mean = (table[sample.kinds] for table in patterns())
    depth = float(np.exp(stream.normal(0, 0.15)))
    odds = np.exp(plan.world.donor_effect * stream.standard_normal(fraction.shape))
    fraction = fraction * odds / (1 - fraction + fraction * odds)
    mean = mean * np.exp(plan.world.donor_effect * stream.standard_normal(mean.shape))
    if sample.patient and sample.number in ESCAPE:
        gene = plan.genes.symbols.index(ESCAPE[sample.number])
        lost = plan.kinds["malignancy"].to_numpy()[sample.kinds] == "malignant"
        fraction[lost, gene] *= ESCAPE_FACTOR
    return fraction, mean, depth


def donor_truth(world: World) -> pd.DataFrame:
    """Return the truth of each donor: what a perfect measurement would find.

    Returns
    -------
    pandas.DataFrame
        ``donor``, ``sample``, ``label`` (kind of cell), ``n_cells``, ``symbol``,
        ``fraction_expressing`` (0–1), ``mean_umi_per_10k`` (in expressing cells); all genes
        with a pattern, one row per sample, kind of cell and gene.
    """
    plan = design(world)
    columns = plan.genes.family("pattern")
    symbols = plan.genes.symbols[columns]
    parts = []
    for sample in plan.samples:
        fraction, mean, _ = levels(plan, sample)
        n = len(symbols)
        parts.append(
            pd.DataFrame(
                {
                    "donor": sample.donor,
                    "sample": sample.name,
                    "label": np.repeat(plan.kinds["label"].to_numpy()[sample.kinds], n),
                    "n_cells": np.repeat(sample.n_cells, n),
                    "symbol": symbols * len(sample.kinds),
                    "fraction_expressing": fraction.ravel(),
                    "mean_umi_per_10k": (mean * 1e4).ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
