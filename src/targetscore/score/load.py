"""Read the profiles of the atlases an indication names; the only module here that reads files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore import io
from targetscore.config import Indication
from targetscore.contracts import (
    AMBIENT,
    AMBIENT_RATES,
    EXPRESSION,
    GENES,
    GROUPS,
    SAMPLE_KEY,
)
from targetscore.errors import ConfigError, Problem, listed, raise_all
from targetscore.libraries import assay_class

Sample = tuple[str, ...]


@dataclass(frozen=True)
class AtlasProfile:
    """Paths of one atlas's stage files, and what its cells are.

    Attributes
    ----------
    atlas, groups, expression, genes
        Name and paths.
    simulated
        Whether the cells were invented.
    unseparated
        Whether nothing separates diseased cells from their normal counterpart (C9).
    ambient, ambient_rates
        Paths of what was measured of free RNA; None if nobody looked.
    """

    atlas: str
    groups: str
    expression: str
    genes: str
    simulated: bool
    unseparated: bool = False
    ambient: str | None = None
    ambient_rates: str | None = None


@dataclass(frozen=True)
class Profiles:
    """What the score needs of all atlases of an indication.

    Attributes
    ----------
    groups
        Contract ``profile/groups`` of all atlases, text as ``str``, with ``assay_class``.
    expression
        Contract ``profile/expression`` of the wanted genes, with ``atlas``.
    measured
        Genes each atlas measures.
    free_rna
        Samples (atlas and sample key) whose free RNA was measured: UMI of each wanted gene at
        most per UMI of a cell's library; a gene that is not in it was not seen there.
    """

    groups: pd.DataFrame
    expression: pd.DataFrame
    measured: Mapping[str, frozenset[str]]
    free_rna: Mapping[Sample, Mapping[str, float]]

    def only(self, keep: Callable[[pd.DataFrame], pd.Series]) -> Profiles:
        """Return the profiles of some groups, their expression and their atlases alone.

        Parameters
        ----------
        keep
            Tells which rows of ``groups`` stay.
        """
        groups = self.groups[keep(self.groups)].reset_index(drop=True)
        here = pd.MultiIndex.from_frame(groups[["atlas", "group_id"]])
        rows = pd.MultiIndex.from_frame(self.expression[["atlas", "group_id"]]).isin(here)
        return replace(self, groups=groups, expression=self.expression[rows].reset_index(drop=True))


def atlases_of(indication: Indication) -> list[str]:
    """Return the atlases an indication names, sorted."""
    return sorted({*indication.diseased.atlases, *indication.healthy.atlases})


def read_symbols(profiles: Sequence[AtlasProfile]) -> tuple[dict[str, str], dict[str, frozenset]]:
    """Return the gene id of each symbol of the atlases, and the genes each atlas measures."""
    ids: dict[str, str] = {}
    measured = {}
    for profile in profiles:
        genes = io.read_table(profile.genes, GENES, ["gene_id", "symbol"])
        measured[profile.atlas] = frozenset(genes["gene_id"].astype(str))
        for symbol, gene_id in zip(genes["symbol"], genes["gene_id"], strict=True):
            ids.setdefault(str(symbol), str(gene_id))
    return ids, measured


def choose_profiles(
    indication: Indication, atlases: Mapping[str, AtlasProfile]
) -> list[AtlasProfile]:
    """Return the profiles of an indication's atlases, sorted by name.

    Raises
    ------
    ConfigError
        If an atlas of the indication has no profile.
    """
    wanted = atlases_of(indication)
    raise_all(
        ConfigError,
        [
            Problem(
                f"indication '{indication.title}'",
                "atlases",
                f"the atlas '{atlas}' has no profile",
                f"profile it first; atlases with a profile: {listed(sorted(atlases), 20)}",
            )
            for atlas in wanted
            if atlas not in atlases
        ],
    )
    return [atlases[atlas] for atlas in wanted]


def read_profiles(
    profiles: Sequence[AtlasProfile],
    measured: Mapping[str, frozenset[str]],
    genes: Collection[str],
) -> Profiles:
    """Read groups of all atlases and the expression of some genes.

    Parameters
    ----------
    profiles
        The atlases.
    measured
        Genes each atlas measures.
    genes
        Ensembl ids of the genes wanted.
    """
    groups, expression = [], []
    free_rna: dict[Sample, dict[str, float]] = {}
    for profile in profiles:
        table = io.read_table(profile.groups, GROUPS)
        for column in table.select_dtypes("category"):
            table[column] = table[column].astype(str)
        table["atlas"] = profile.atlas
        groups.append(table)
        found = io.read_matching(profile.expression, EXPRESSION, "gene_id", genes)
        found["gene_id"] = found["gene_id"].astype(str)
        expression.append(found.assign(atlas=profile.atlas))
        free_rna |= _free_rna(profile, genes)
    together = pd.concat(groups, ignore_index=True)
    together["assay_class"] = together["assay"].map(
        {assay: assay_class(assay) for assay in together["assay"].unique()}
    )
    return Profiles(together, pd.concat(expression, ignore_index=True), measured, free_rna)


def _free_rna(profile: AtlasProfile, genes: Collection[str]) -> dict[Sample, dict[str, float]]:
    """Read the free RNA of the samples in which empty droplets measured it."""
    if profile.ambient is None or profile.ambient_rates is None:
        return {}
    table = io.read_table(profile.ambient, AMBIENT, [*SAMPLE_KEY, "source"])
    seen = table.loc[table["source"] == "empty_droplets", list(SAMPLE_KEY)].astype(str)
    found: dict[Sample, dict[str, float]] = {
        (profile.atlas, *key): {} for key in seen.itertuples(index=False, name=None)
    }
    if found:
        rates = io.read_matching(profile.ambient_rates, AMBIENT_RATES, "gene_id", genes)
        texts = dict.fromkeys((*SAMPLE_KEY, "gene_id"), str)
        for row in rates.astype(texts).to_dict("records"):
            found[profile.atlas, *(row[k] for k in SAMPLE_KEY)][row["gene_id"]] = row["rate"]
    return found


@dataclass(frozen=True)
class Sums:
    """Counts of some groups of cells, summed to units (a patient; a donor in a group).

    Attributes
    ----------
    units
        One row per unit with its keys, ``n_cells`` and ``library_counts``.
    measured
        Whether the unit's atlas measures the gene, shape ``(n_units, n_genes)``.
    detected, thinned, counts
        Cells with a count, cells expected at 2,000 UMI, and counts, same shape; 0 where the
        gene was not measured, so that sums over units hold measured cells only.
    """

    units: pd.DataFrame
    measured: NDArray[np.bool_]
    detected: NDArray[np.float64]
    thinned: NDArray[np.float64]
    counts: NDArray[np.float64]

    @property
    def cells(self) -> NDArray[np.int64]:
        """Cells in which the gene was measured, shape ``(n_units, n_genes)``."""
        return self.units["n_cells"].to_numpy(np.int64)[:, None] * self.measured

    @property
    def cpm(self) -> NDArray[np.float64]:
        """Pseudobulk counts per million; NaN if not measured or the library is empty (C1)."""
        library = self.units["library_counts"].to_numpy(np.float64)[:, None]
        known = self.measured & (library > 0)
        return np.divide(1e6 * self.counts, library, out=np.full(known.shape, np.nan), where=known)


def sum_cells(
    profiles: Profiles, groups: pd.DataFrame, keys: Sequence[str], genes: Sequence[str]
) -> Sums:
    """Sum groups of cells to units; samples of one donor end in one unit.

    Parameters
    ----------
    profiles
        What was read.
    groups
        The rows of ``profiles.groups`` to sum.
    keys
        Columns that tell units apart; ``atlas`` must be one of them.
    genes
        Ensembl ids, the columns of the result.
    """
    keys = list(keys)
    grouped = groups.groupby(keys, sort=True)
    units = grouped[["n_cells", "library_counts"]].sum().reset_index()
    unit_of = pd.Series(
        grouped.ngroup().to_numpy(),
        index=pd.MultiIndex.from_frame(groups[["atlas", "group_id"]]),
    )
    has = {
        atlas: np.array([g in profiles.measured[atlas] for g in genes], dtype=bool)
        for atlas in units["atlas"].unique()
    }
    empty = np.zeros((0, len(genes)), dtype=bool)
    measured = np.array([has[a] for a in units["atlas"]]) if len(units) else empty
    column_of = {gene: i for i, gene in enumerate(genes)}
    rows = profiles.expression
    unit = unit_of.reindex(pd.MultiIndex.from_frame(rows[["atlas", "group_id"]])).to_numpy()
    column = rows["gene_id"].map(column_of).to_numpy(np.float64)
    use = np.isfinite(unit) & np.isfinite(column)
    place = unit[use].astype(np.int64) * len(genes) + column[use].astype(np.int64)

    def total(name: str) -> NDArray[np.float64]:
        weights = rows[name].to_numpy(np.float64)[use]
        sums = np.bincount(place, weights, minlength=measured.size)
        return sums.astype(np.float64).reshape(measured.shape)

    return Sums(
        units, measured, *(total(n) for n in ("n_detected", "thinned_detected", "sum_counts"))
    )


def mean_levels(profiles: Sequence[AtlasProfile], groups: pd.DataFrame) -> pd.Series:
    """Return the mean CPM of every gene over patients, for ranking genes among each other.

    Parameters
    ----------
    profiles
        The atlases.
    groups
        Groups whose cells are pooled per patient (columns ``atlas``, ``donor``, ``group_id``,
        ``library_counts``).

    Returns
    -------
    pandas.Series
        Mean CPM over the patients whose atlas measures the gene, by gene id, sorted by id.
    """
    totals: list[pd.Series] = []
    patients: list[pd.Series] = []
    for profile in profiles:
        own = groups[groups["atlas"] == profile.atlas]
        library = own.groupby("donor")["library_counts"].sum()
        library = library[library > 0]
        if library.empty:
            continue
        donor_of = own.set_index("group_id")["donor"]
        genes = io.read_table(profile.genes, GENES, ["gene_id"])["gene_id"].astype(str).unique()
        rows = io.read_matching(
            profile.expression,
            EXPRESSION,
            "group_id",
            [int(group) for group in donor_of.index],
            ["group_id", "gene_id", "sum_counts"],
        )
        # Counts first: how the cells are cut into groups must not move a rounding error.
        keys = [rows["gene_id"].astype(str), rows["group_id"].map(donor_of).rename("donor")]
        counts = rows["sum_counts"].groupby(keys).sum()
        cpm = counts * (1e6 / library).reindex(counts.index.get_level_values("donor")).to_numpy()
        summed = cpm.groupby(level=0).sum()
        totals.append(summed.reindex(genes, fill_value=0.0))
        patients.append(pd.Series(float(len(library)), index=genes))
    if not totals:
        return pd.Series(dtype="float64")
    return _by_gene(totals) / _by_gene(patients)


def _by_gene(parts: Iterable[pd.Series]) -> pd.Series:
    return pd.concat(list(parts)).groupby(level=0).sum()
