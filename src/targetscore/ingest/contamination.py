"""Cells under a wrong label: they show the programme of another lineage clearly (F4, F5).

A cell is flagged where its label is known and of another lineage, it shows at least half of the
markers of a programme, and more of their counts than free RNA of its sample can explain. Cells
of sorted populations and small clusters are where this happens: a few plasmablasts among
monocytes are enough to make monocytes positive for TNFRSF17.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from targetscore import ontology
from targetscore.config import read_tsv
from targetscore.contracts_cells import CONTAMINATION
from targetscore.errors import KnowledgeError, Problem, listed, plain, raise_all
from targetscore.genes import GeneTable
from targetscore.ingest.ambient import SHARE_UPPER, ambient_rate
from targetscore.ingest.columns import by_value

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MIN_COUNTS = 10
"""UMI of a programme below which no cell shows it clearly."""

MIN_MARKERS = 3
"""Markers a programme must have in an atlas, and a cell must show."""

BY_CHANCE = 1e-6
"""Probability below which free RNA does not explain the counts of a cell (Poisson)."""

NONE, NOT_ASSESSED = "none", "not_assessed"
_GROUP = ("population", "tissue_id", "tissue", "cell_type_id", "cell_type")


@dataclass(frozen=True)
class Programme:
    """Genes that only one lineage makes in quantity.

    Attributes
    ----------
    name
        The lineage.
    native
        Cell Ontology ids in which, and in whose descendants, the programme is at home.
    gene_ids
        Ensembl ids of the markers.
    """

    name: str
    native: tuple[str, ...]
    gene_ids: tuple[str, ...]

    def foreign_to(self, cell_type: str) -> bool:
        """Tell whether cells of a type surely do not show the programme.

        False for types it is native to, for coarser types that may hold such cells, and for
        labels without a term.
        """
        if cell_type.startswith("label:") or ontology.is_a(cell_type, self.native):
            return False
        return not any(ontology.is_a(native, [cell_type]) for native in self.native)


def load_programmes(knowledge: str, genes: GeneTable) -> list[Programme]:
    """Read ``lineage_markers.tsv``, sorted by name.

    Parameters
    ----------
    knowledge
        Folder of the curated tables.
    genes
        Names of genes.

    Raises
    ------
    KnowledgeError
        If a marker is unknown or a candidate antigen (a cell must not be judged by the gene that
        is asked about), a term does not exist, or the rows of a programme disagree.
    """
    file = f"{knowledge}/lineage_markers.tsv"
    records = read_tsv(file, KnowledgeError, ("programme", "native_to", "symbol", "source"))
    antigens = {
        r["symbol"]
        for r in read_tsv(f"{knowledge}/antigens.tsv", KnowledgeError, ("symbol", "role"))
        if r["role"] != "nonsurface_control"
    }
    native: dict[str, str] = {}
    markers: dict[str, list[str]] = {}
    problems = []
    for number, record in enumerate(records, 1):
        name, symbol = record["programme"], record["symbol"]
        place = f"row {number} ({plain(name, 60)}, {plain(symbol, 60)})"
        gene = genes.find(symbol)
        terms = [t.strip() for t in record["native_to"].split("|")]
        for wrong, remedy in (
            (gene is None and "the marker is no known gene", "add it to genes.tsv or correct it"),
            (symbol in antigens and "the marker is an antigen of antigens.tsv", "take another"),
            (not record["source"] and "the source is empty", "say where the fact is from"),
            (
                native.setdefault(name, record["native_to"]) != record["native_to"]
                and "native_to differs from an earlier row of the programme",
                "write the same terms in all rows of a programme",
            ),
            (
                not all(ontology.is_term(t, "CL") for t in terms)
                and f"not all are current terms of CL: {listed(terms)}",
                "look the terms up in the Cell Ontology",
            ),
        ):
            if wrong:
                problems.append(Problem(file, place, str(wrong), remedy))
        if gene and gene.gene_id not in markers.setdefault(name, []):
            markers[name].append(gene.gene_id)
    raise_all(KnowledgeError, problems)
    return [
        Programme(name, tuple(t.strip() for t in native[name].split("|")), tuple(markers[name]))
        for name in sorted(markers)
    ]


@dataclass
class _Sums:
    """What is added up for one programme."""

    programme: Programme
    columns: sp.csr_matrix
    n_markers: int
    needed: int
    foreign: NDArray[np.bool_]
    counts: Integers
    markers: Integers
    seen: list[sp.csr_matrix] = field(default_factory=list)
    rows: list[Integers] = field(default_factory=list)


class ProgrammeSums:
    """Adds up the markers of some programmes in every cell, block by block.

    Parameters
    ----------
    programmes
        The programmes.
    cells
        Cells that are used: ``row``, ``population``, ``tissue_id``, ``tissue``,
        ``cell_type_id`` and ``cell_type`` of contract ``ingest/cells``.
    genes
        Contract ``ingest/genes``.
    n_rows
        Rows of the matrix.
    """

    def __init__(
        self,
        programmes: Sequence[Programme],
        cells: pd.DataFrame,
        genes: pd.DataFrame,
        n_rows: int,
    ) -> None:
        codes, self._gene_ids = pd.factorize(genes["gene_id"].astype(str))
        ones = np.ones(len(codes), dtype=np.int64)
        shape = (len(codes), len(self._gene_ids))
        self._to_genes = sp.csr_matrix((ones, (np.arange(len(codes)), codes)), shape=shape)
        self._one_column_each = len(self._gene_ids) == len(codes)
        self._cells = cells
        grouped = cells.groupby(list(_GROUP), observed=True, sort=True)
        self._groups = grouped.size().reset_index()[list(_GROUP)].astype(str)
        self._group_of_row = np.full(n_rows, -1, dtype=np.int64)
        self._group_of_row[cells["row"]] = grouped.ngroup()
        self._detected = np.zeros((len(self._groups), len(self._gene_ids)), dtype=np.int32)
        self._n_cells = np.zeros(len(self._groups), dtype=np.int64)
        types = cells["cell_type_id"].astype(str)
        self._sums = []
        self.unmeasured: list[str] = []
        for programme in programmes:
            here = np.flatnonzero(np.isin(self._gene_ids, programme.gene_ids))
            if len(here) < MIN_MARKERS:
                self.unmeasured.append(programme.name)
                continue
            foreign = np.zeros(n_rows, dtype=bool)
            foreign[cells["row"]] = by_value(types, programme.foreign_to).astype(bool)
            zeros = np.zeros(n_rows, dtype=np.int64)
            needed = max(MIN_MARKERS, -(-len(here) // 2))
            columns = self._to_genes[:, here]
            self._sums.append(
                _Sums(programme, columns, len(here), needed, foreign, zeros, zeros.copy())
            )

    def add(self, first: int, counts: sp.csr_matrix, kept: NDArray[np.bool_]) -> None:
        """Add some consecutive rows, each row once.

        Parameters
        ----------
        first
            First row.
        counts
            Their counts.
        kept
            Whether a row passed the filters of single cells, ``(n_rows_here,)``.
        """
        rows = np.arange(first, first + counts.shape[0])
        groups = self._group_of_row[rows]
        use = np.flatnonzero(kept & (groups >= 0))
        if not len(use) or not self._sums:
            return
        np.add.at(self._n_cells, groups[use], 1)
        part = counts if len(use) == len(rows) else counts[use]
        by_gene = part if self._one_column_each else (part @ self._to_genes).tocsr()
        seen = by_gene.astype(bool).astype(np.int32)
        present, place = np.unique(groups[use], return_inverse=True)
        one = np.ones(len(use), dtype=np.int32)
        shape = (len(present), len(use))
        found = (sp.csr_matrix((one, (place, np.arange(len(use)))), shape=shape) @ seen).tocoo()
        self._detected[present[found.row], found.col] += found.data
        for own in self._sums:
            marked = (part @ own.columns).tocsr()
            total = np.asarray(marked.sum(axis=1)).ravel()
            n_markers = np.asarray((marked > 0).sum(axis=1)).ravel()
            own.counts[rows[use]], own.markers[rows[use]] = total, n_markers
            likely = (total >= MIN_COUNTS) & (n_markers >= own.needed) & own.foreign[rows[use]]
            own.rows.append(rows[use][likely])
            own.seen.append(seen[np.flatnonzero(likely)])

    def found(self, samples: Integers, library: Integers, rates: Sequence[Floats | None]) -> Found:
        """Return which cells show a foreign programme, after the last block.

        Parameters
        ----------
        samples
            Sample of each row of the matrix, negative for none, ``(n_rows,)``.
        library
            UMI of each row, ``(n_rows,)``.
        rates
            Free RNA of each sample, per column of the matrix (see ``SampleAmbient.rate``); None
            where it was not measured: then up to the default share of it is taken to be that of
            the sample's own cells (C1).
        """
        shown = pd.Series(NOT_ASSESSED, index=self._cells["row"].to_numpy(), dtype=object)
        words = pd.Series("", index=shown.index, dtype=object)
        tables, detail = [CONTAMINATION.empty()], dict[int, str]()
        for own in self._sums:
            shown[own.foreign[shown.index]] = NONE
        for own in self._sums:
            flagged, expected = _clear(own, samples, library, rates)
            keep = np.isin(np.concatenate([np.zeros(0, np.int64), *own.rows]), flagged)
            words[flagged] += f"; {own.programme.name}"
            for row, mu in zip(flagged, expected, strict=True):
                text = (
                    f"{own.programme.name}: {own.markers[row]} of {own.n_markers} markers, "
                    f"{own.counts[row]} UMI, {mu:.1f} expected from free RNA"
                )
                detail[int(row)] = "; ".join(filter(None, [detail.get(int(row)), text]))
            if len(flagged):
                seen = sp.vstack(own.seen, format="csr")[np.flatnonzero(keep)]
                tables.append(self._table(own.programme.name, flagged, seen))
        shown = shown.where(words == "", words.str.removeprefix("; "))
        table = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
        return Found(shown, detail, table, list(self.unmeasured))

    def _table(self, name: str, flagged: Integers, seen: sp.csr_matrix) -> pd.DataFrame:
        """Return contract ``ingest/contamination`` of one programme."""
        groups = self._group_of_row[flagged]
        parts = []
        for group in np.unique(groups):
            own = np.flatnonzero(groups == group)
            n_seen = np.asarray(seen[own].sum(axis=0)).ravel()
            genes = np.flatnonzero(n_seen)
            parts.append(
                pd.DataFrame(
                    {
                        **self._groups.loc[group].to_dict(),
                        "programme": name,
                        "gene_id": np.asarray(self._gene_ids)[genes],
                        "n_cells": self._n_cells[group],
                        "n_flagged": len(own),
                        "n_detected": self._detected[group, genes].astype(np.int64),
                        "n_flagged_detected": n_seen[genes].astype(np.int64),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Found:
    """Cells that show the programme of another lineage.

    Attributes
    ----------
    programme
        Foreign programmes of each cell, by row: their names, ``none`` or ``not_assessed``.
    detail
        What was seen in a flagged cell, by row.
    table
        Contract ``ingest/contamination``.
    unmeasured
        Programmes of which the atlas measures too few markers.
    """

    programme: pd.Series
    detail: dict[int, str]
    table: pd.DataFrame
    unmeasured: list[str]

    def summary(self, cells: pd.DataFrame) -> dict[str, Any]:
        """Return cells assessed and flagged, and cells flagged per type and programme."""
        said = self.programme.reindex(cells["row"].to_numpy()).to_numpy()
        flagged = ~np.isin(said, [NONE, NOT_ASSESSED])
        types = cells["cell_type"].astype(str).to_numpy()
        counts = Counter(zip(types[flagged], said[flagged], strict=True))
        size = Counter(types)
        return {
            "n_assessed": int((said != NOT_ASSESSED).sum()),
            "n_flagged": int(flagged.sum()),
            "programmes_not_measured": self.unmeasured,
            "cell_types": [
                {"cell_type": t, "programme": p, "n_flagged": n, "n_cells": size[t]}
                for (t, p), n in sorted(counts.items())
            ],
        }


def _clear(
    own: _Sums, samples: Integers, library: Integers, rates: Sequence[Floats | None]
) -> tuple[Integers, Floats]:
    """Return rows whose counts free RNA does not explain, and counts it would explain at most."""
    from scipy.stats import poisson

    rows = np.concatenate([np.zeros(0, np.int64), *own.rows])
    rate = np.zeros(len(rates))
    for sample, measured in enumerate(rates):
        if measured is not None:
            rate[sample] = float((measured @ own.columns).sum())
            continue
        cells = samples == sample
        total = np.array([float(own.counts[cells].sum())])
        rate[sample] = ambient_rate(total, float(max(library[cells].sum(), 1)), SHARE_UPPER)[0]
    expected = rate[samples[rows]] * library[rows]
    clear = poisson.sf(own.counts[rows] - 1, expected) < BY_CHANCE
    return rows[clear], expected[clear]
