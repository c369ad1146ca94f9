"""Draw the UMI counts of simulated cells.

Counts are gamma–Poisson. The gamma level of an antigen is drawn per cell and gene, that of
the many filler genes per cell and module of genes, as co-regulated genes rise and fall
together; each gene alone has the same distribution either way. UMIs of a module are given to
its genes one by one, so the work grows with the UMIs and not with cells × genes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from targetscore.simulate.design import Design, Sample, filler_levels, levels
from targetscore.simulate.tables import HEAVY_CHAINS, LIGHT_CHAINS, PER_10K

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

N_MODULES = 40
STEADY = 20.0  # gamma shape of housekeeping, mitochondrial, ribosomal and ambient UMIs
LIBRARY_SPREAD = 0.35  # standard deviation of the log library size within a kind of cell
_TABLE = 1 << 19
_LIGHT = (0.6, 0.22, 0.18)
_HEAVY = (0.35, 0.15, 0.35, 0.15)
_IG_PARTS = (0.5, 0.42, 0.08)  # light chain, heavy chain, J chain


@dataclass(frozen=True)
class Profile:
    """Rates of one sample, per UMI of the library without masked genes.

    Attributes
    ----------
    composition
        Share of the cells that are of each kind, ``(n_kinds_here,)``.
    size
        Median library of each kind of cell here, in UMI, ``(n_kinds_here,)``.
    fraction, mean
        Pattern genes, ``(n_kinds_here, n_pattern_genes)``.
    immunoglobulin
        Immunoglobulin UMIs per UMI, ``(n_kinds_here,)``.
    light, heavy
        Share of cells with each chain, ``(n_kinds_here, n_chains)``.
    mass, shape
        UMIs per UMI of each module, ``(n_kinds_here, n_modules)``, and their gamma shape.
    table, start, length
        Genes repeated in proportion to their level, and the part of each module in it.
    """

    composition: Floats
    size: Floats
    fraction: Floats
    mean: Floats
    immunoglobulin: Floats
    light: Floats
    heavy: Floats
    mass: Floats
    shape: Floats
    table: NDArray[np.int32]
    start: Integers
    length: Integers


def profile(plan: Design, sample: Sample) -> Profile:
    """Work out the rates of a sample, its ambient RNA included."""
    world, genes = plan.world, plan.genes
    kinds = plan.kinds.iloc[sample.kinds]
    fraction, mean, depth = levels(plan, sample)
    shares = {f: kinds[f"{f}_share"].to_numpy(np.float64) for f in ("ig", "mito", "ribo")}
    own = 1 - shares["ig"] - shares["mito"] - shares["ribo"]
    size = kinds["median_umi"].to_numpy(np.float64) * own * depth
    light, heavy = _chains(sample, kinds["malignancy"].to_numpy() == "malignant")

    rate = np.zeros((len(kinds), len(genes.symbols)))
    rate[:, genes.family("pattern")] = fraction * mean
    ubiquitous = genes.family("ubiquitous")
    level = genes.table["level"].to_numpy(np.float64)
    rate[:, ubiquitous] = level[ubiquitous] * PER_10K
    for family, share in (("mitochondrial", "mito"), ("ribosomal", "ribo")):
        relative = level[genes.family(family)] / level[genes.family(family)].sum()
        rate[:, genes.family(family)] = (shares[share] / own)[:, None] * relative
    filler = filler_levels(plan, sample)
    rest = 1 - rate[:, genes.family("pattern")].sum(1) - rate[:, ubiquitous].sum(1)
    rate[:, genes.fillers] = filler * (rest / filler.sum(1))[:, None]

    immunoglobulin = shares["ig"] / own
    everything = rate.copy()
    for chains, names, part in ((light, LIGHT_CHAINS, 0), (heavy, HEAVY_CHAINS, 1)):
        columns = [genes.symbols.index(name) for name in names]
        everything[:, columns] = immunoglobulin[:, None] * chains * _IG_PARTS[part]
    everything[:, genes.symbols.index("JCHAIN")] = immunoglobulin * _IG_PARTS[2]
    composition = sample.n_cells / sample.n_cells.sum()
    soup = (composition * size) @ everything

    steady = [genes.family(f) for f in ("ubiquitous", "mitochondrial", "ribosomal")]
    edges = np.linspace(genes.fillers.start, genes.fillers.stop, N_MODULES + 1).astype(np.int64)
    modules = [*steady, *(slice(int(a), int(b)) for a, b in pairwise(edges))]
    mass = np.stack([rate[:, m].sum(1) for m in modules], axis=1)
    table, start, length = _tables(rate, soup, modules)
    return Profile(
        composition=composition,
        size=size,
        fraction=fraction,
        mean=mean,
        immunoglobulin=immunoglobulin,
        light=light,
        heavy=heavy,
        mass=np.column_stack([mass, world.ambient / own]),
        shape=np.array([STEADY] * len(steady) + [world.dispersion] * N_MODULES + [STEADY]),
        table=table,
        start=start,
        length=length,
    )


def _chains(sample: Sample, malignant: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return chain usage; a clone has one light and one heavy chain, two of five are lambda."""
    light = np.tile(_LIGHT, (len(malignant), 1))
    heavy = np.tile(_HEAVY, (len(malignant), 1))
    light[malignant] = np.eye(len(_LIGHT))[(0, 0, 1, 0, 2)[(sample.number - 1) % 5]]
    heavy[malignant] = np.eye(len(_HEAVY))[(0, 2, 0, 1)[(sample.number - 1) % 4]]
    return light, heavy


def _tables(
    rate: Floats, soup: Floats, modules: list[slice]
) -> tuple[NDArray[np.int32], Integers, Integers]:
    """Build one table of genes per kind of cell, and one of the ambient RNA at the end."""
    smooth = slice(modules[0].start, modules[-1].stop)
    bounds = np.array([m.start - smooth.start for m in modules] + [smooth.stop - smooth.start])
    tables, starts, lengths = [], [], []
    for k, rates in enumerate([*rate[:, smooth], soup]):
        upto = np.concatenate([[0.0], np.cumsum(rates)])
        edges = np.floor(upto / upto[-1] * _TABLE + 0.5).astype(np.int64)
        offset = 0 if k == len(rate) else smooth.start
        genes = np.arange(offset, offset + len(rates), dtype=np.int32)
        tables.append(np.repeat(genes, np.diff(edges)))
        if k < len(rate):
            starts.append(k * _TABLE + edges[bounds[:-1]])
            lengths.append(np.diff(edges[bounds]))
    n_kinds = len(rate)
    start = np.column_stack([np.stack(starts), np.full(n_kinds, n_kinds * _TABLE)])
    length = np.column_stack([np.stack(lengths), np.full(n_kinds, _TABLE)])
    return np.concatenate(tables), start, length


def draw(
    plan: Design, rates: Profile, kinds: Integers, stream: np.random.Generator
) -> tuple[Integers, NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_]]:
    """Draw cells of one sample.

    Parameters
    ----------
    rates
        Rates of the sample.
    kinds
        Kind of each cell, as a row of ``rates``, shape ``(n_cells,)``.
    stream
        Random stream of these cells alone.

    Returns
    -------
    tuple
        Genes per cell ``(n_cells,)``; gene and count of every non-zero entry, cell by cell,
        genes ascending; and whether a cell is a doublet ``(n_cells,)``. A doublet is the sum
        of the cell and one drawn from the same sample.
    """
    world, n_genes = plan.world, len(plan.genes.symbols)
    doublet = stream.random(len(kinds)) < world.doublets
    second = stream.choice(len(rates.composition), int(doublet.sum()), p=rates.composition)
    row = np.concatenate([np.arange(len(kinds)), np.flatnonzero(doublet)])
    kind = np.concatenate([kinds, second])
    size = rates.size[kind] * np.exp(LIBRARY_SPREAD * stream.standard_normal(len(kind)))

    keys = [
        _smooth(rates, kind, row * n_genes, size, stream),
        _patterns(world.dispersion, rates, kind, row * n_genes, size, stream),
        _immunoglobulin(plan, rates, kind, row * n_genes, size, stream),
    ]
    tally = np.bincount(np.concatenate(keys), minlength=len(kinds) * n_genes)
    entries = np.flatnonzero(tally)
    per_cell = np.bincount(entries // n_genes, minlength=len(kinds))
    genes = (entries % n_genes).astype(np.int32)
    return per_cell, genes, tally[entries].astype(np.float32), doublet


def _smooth(
    rates: Profile, kind: Integers, first: Integers, size: Floats, stream: np.random.Generator
) -> Integers:
    level = stream.standard_gamma(rates.shape, (len(kind), len(rates.shape))) / rates.shape
    hits = stream.poisson(size[:, None] * rates.mass[kind] * level)
    hits[rates.length[kind] == 0] = 0
    start = np.repeat(rates.start[kind].ravel(), hits.ravel())
    length = np.repeat(rates.length[kind].ravel(), hits.ravel())
    gene = rates.table[start + (stream.random(len(start)) * length).astype(np.int64)]
    return np.repeat(first, hits.sum(1)) + gene


def _patterns(
    dispersion: float,
    rates: Profile,
    kind: Integers,
    first: Integers,
    size: Floats,
    stream: np.random.Generator,
) -> Integers:
    expressing = stream.random((len(kind), rates.fraction.shape[1])) < rates.fraction[kind]
    level = stream.standard_gamma(dispersion, expressing.shape) / dispersion
    counts = stream.poisson(expressing * level * rates.mean[kind] * size[:, None])
    cell, gene = np.nonzero(counts)
    return np.repeat(first[cell] + gene, counts[cell, gene])


def _immunoglobulin(
    plan: Design,
    rates: Profile,
    kind: Integers,
    first: Integers,
    size: Floats,
    stream: np.random.Generator,
) -> Integers:
    amount = size * rates.immunoglobulin[kind] * stream.standard_gamma(STEADY, len(kind)) / STEADY
    symbols = plan.genes.symbols
    chosen = [
        np.take([symbols.index(name) for name in names], _choose(usage[kind], stream))
        for names, usage in ((LIGHT_CHAINS, rates.light), (HEAVY_CHAINS, rates.heavy))
    ]
    chosen.append(np.full(len(kind), symbols.index("JCHAIN")))
    counts = stream.poisson(amount[:, None] * np.array(_IG_PARTS))
    return np.repeat((first[:, None] + np.stack(chosen, axis=1)).ravel(), counts.ravel())


def _choose(shares: Floats, stream: np.random.Generator) -> Integers:
    """Choose one column per row with the given shares."""
    upto = np.cumsum(shares, axis=1)[:, :-1]
    return (stream.random((len(shares), 1)) >= upto).sum(axis=1)
