"""Which column of a cell table says what: by names and by contents, never by names alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import pandas as pd

from targetscore import ontology
from targetscore.errors import plain
from targetscore.ingest.populations import MALIGNANT, NOT_MALIGNANT, UNCLEAR
from targetscore.propose.labels import spelt_terms

__all__ = ["Choice", "Facts", "choose", "facts"]

NAMES = {
    "cell_type": "cell_type_ontology_term_id cell_type cell_ontology_class cell_type_name "
    "cell_types cell_type_annotation annotation predicted_celltype cell_annotation cell_label "
    "cluster_annotation cell_identity",
    "malignancy": "malignancy malignant is_malignant prediction_refined malignancy_call",
    "disease": "disease_ontology_term_id disease diagnosis condition disease_state status",
    "tissue": "tissue_ontology_term_id tissue organ tissue_name organ_tissue anatomical_site site",
    "donor": "donor_id donor patient_id patient subject_id subject individual participant case_id",
    "sample": "sample_id sample sample_name library library_id orig_ident batch channel",
    "assay": "assay assay_ontology_term_id technology platform chemistry protocol method",
    "suspension": "suspension_type suspension",
}
"""Names of columns per field, best first; case and punctuation do not matter."""

ONTOLOGY = {"tissue": "UBERON", "cell_type": "CL", "disease": "MONDO"}
ENOUGH = 0.5
"""Share of cells whose value is a term for a column to be taken by its contents."""

_SOME = 0.05  # below, a fitting name without fitting contents gives way to fitting contents
_BARCODE = re.compile(r"[ACGTN]{8,}")
_ASSAY = re.compile(
    r"EFO:\d{7}|10x|smart.?seq|drop.?seq|cel.?seq|seq.?well|microwell|rhapsody", re.I
)
_SUSPENSION = frozenset({"cell", "cells", "nucleus", "nuclei", "na"})
_PLAIN_ANSWERS = frozenset({"true", "1", "yes"})
_ANSWERS = frozenset({"yes", "no", "true", "false"})
_HOLDS_NAME, _NO_NAME = 500, 1000
_LOOKED_UP = 300
_MOST_WORDS = 20_000  # more are names of cells; they are counted, not read
_CELLS_PER_DONOR = 5
_MOST_VALUES = {"cell_type": 300, "disease": 30, "tissue": 100, "donor": 10_000, "sample": 10_000}
_SHOWN = 6


@dataclass(frozen=True)
class Facts:
    """What one column of the cell table holds.

    Attributes
    ----------
    name
        The column.
    values
        Cells per distinct value, most frequent first; without missing ones.
    n_cells
        Cells of the atlas.
    numbers
        Whether it holds measurements instead of labels.
    """

    name: str
    values: pd.Series
    n_cells: int
    numbers: bool

    @property
    def n_values(self) -> int:
        """Number of distinct values."""
        return len(self.values)

    @property
    def n_missing(self) -> int:
        """Cells without a value."""
        return self.n_cells - int(self.values.sum())

    @property
    def like_barcodes(self) -> bool:
        """Whether it names cells, not groups of cells."""
        if self.n_values <= 1:
            return False
        if self.n_values > _MOST_WORDS:
            return True
        named = sum(bool(_BARCODE.search(str(v))) for v in self.values.index[:50])
        few_cells = self.n_values * _CELLS_PER_DONOR > self.n_cells and self.n_values > 20
        return few_cells or self.n_values == self.n_cells or named > 0.5 * min(50, self.n_values)

    def share(self, test: Callable[[str], bool]) -> float:
        """Return the share of cells whose value passes a test, 0–1."""
        top = self.values.iloc[:_LOOKED_UP]
        passed = sum(int(n) for v, n in top.items() if test(str(v)))
        return passed / max(int(top.sum()), 1)

    def __str__(self) -> str:
        shown = f"{plain(self.name, 40)} ({self.n_values:,} value{'s' * (self.n_values != 1)}"
        return shown + (f", {self.n_missing:,} cells without)" if self.n_missing else ")")


@dataclass(frozen=True)
class Choice:
    """The column proposed for a field of the registry row.

    Attributes
    ----------
    column
        Its name; empty if nothing was found.
    why
        Why this one.
    others
        Columns that could be meant too, with their numbers of values.
    refused
        Columns of a fitting name that were not taken, with the reason.
    """

    column: str = ""
    why: str = ""
    others: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def facts(cells: pd.DataFrame) -> list[Facts]:
    """Describe every column of a cell table except its barcodes.

    Parameters
    ----------
    cells
        One row per cell, with the column ``cell``.
    """
    return [_facts(cells[c], str(c)) for c in cells.columns if c != "cell"]


def _facts(column: pd.Series, name: str) -> Facts:
    if column.dtype.kind == "f" and bool((column.dropna() % 1 != 0).any()):
        return Facts(name, pd.Series(dtype="int64"), len(column), True)
    counts = column.value_counts(sort=False)  # words first: a million cells hold few of them
    if len(counts) <= _MOST_WORDS:
        counts.index = pd.Index([str(v).strip() for v in counts.index], dtype=object)
        counts = counts.groupby(level=0, sort=True).sum()
        counts = counts[(counts > 0) & ~counts.index.str.casefold().isin(["", "nan"])]
        counts = counts.sort_values(ascending=False, kind="stable")
    return Facts(name, counts, len(column), False)


def choose(cells: pd.DataFrame, told: dict[str, str]) -> dict[str, Choice]:
    """Propose a column for each field of the registry row that describes cells.

    Parameters
    ----------
    cells
        One row per cell, with joined labels.
    told
        Fields the user has set already; they are not looked for, and their columns are used
        for nothing else.

    Returns
    -------
    dict
        A choice per field, in the order of :data:`NAMES`.
    """
    known = [f for f in facts(cells) if _can_be_named(f.name)]
    taken = set(told.values())
    chosen: dict[str, Choice] = {}
    for name in NAMES:
        if told.get(name):
            chosen[name] = Choice(told[name], "as you said")
            continue
        free = [f for f in known if f.name not in taken]
        donor = chosen["donor"].column if "donor" in chosen else ""
        chosen[name] = _choose(name, free, cells, donor)
        taken.add(chosen[name].column)
    consistent = _diseases(cells, chosen["donor"].column, chosen["disease"].column)
    chosen["donor"] = replace(chosen["donor"], why=chosen["donor"].why + consistent)
    return chosen


def _diseases(cells: pd.DataFrame, donor: str, disease: str) -> str:
    """Say whether donors are patients or healthy: a column that mixes them may be no donor."""
    if donor not in cells.columns or disease not in cells.columns:
        return ""
    several = cells.groupby(donor, observed=True)[disease].nunique() > 1
    n = int(several.sum())
    return f"; {n:,} of them with several diseases" if n else "; one disease each"


def _can_be_named(name: str) -> bool:
    """Whether a registry row can name a column: ``=`` begins a value, and fields are trimmed."""
    return name.isprintable() and not name.startswith("=") and name == name.strip() and name != ""


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _rank(name: str, column: str) -> int:
    """Return the place of a column among the names of a field; 1000 if it has none."""
    names = [_folded(n) for n in NAMES[name].split()]
    folded = _folded(column)
    if folded in names:
        return names.index(folded)
    return _HOLDS_NAME if name == "cell_type" and "celltype" in folded else _NO_NAME


def _choose(name: str, known: list[Facts], cells: pd.DataFrame, donor: str) -> Choice:
    fits, refused = [], []
    for column in known:
        rank, share = _rank(name, column.name), _by_contents(name, column)
        why_not = _unfit(name, column, cells, donor)
        if why_not and rank < _HOLDS_NAME:
            refused.append(f"{plain(column.name, 40)}: {why_not}")
        elif not why_not and (rank < _NO_NAME or share >= ENOUGH):
            fits.append((share < _SOME and name in ONTOLOGY, rank, -share, column))
    fits.sort(key=lambda f: (*f[:3], f[3].name))
    best = fits[0][3] if fits else None
    others = [f[3] for f in fits[1:]]
    if best is None or (name == "cell_type" and fits[0][2] > -1):
        others += [f for f in _possible(name, known, cells) if f not in (best, *others)]
    shown = [str(f) for f in others[:_SHOWN]]
    if best is None:
        return Choice("", "", shown, refused)
    return Choice(best.name, _why(name, best, fits[0][1]), shown, refused)


def _by_contents(name: str, column: Facts) -> float:
    """Return the share of cells whose value belongs to a field by what it says, 0–1."""
    if column.numbers or column.like_barcodes:
        return 0.0
    if name == "cell_type":
        return column.share(_is_cell_type)
    if name in ONTOLOGY:
        return column.share(lambda v: is_known(v, ONTOLOGY[name]))
    if name == "assay":
        return column.share(lambda v: bool(_ASSAY.search(v)))
    if name == "suspension":
        return column.share(lambda v: v.casefold() in _SUSPENSION)
    return float(name == "malignancy" and _are_calls(column) and not _plain_answers(column))


@lru_cache(maxsize=65536)
def is_known(value: str, of: str) -> bool:
    """Tell whether a value is a term (or several joined) of an ontology, or healthy."""
    parts = [p.strip() for p in value.split(ontology.SEVERAL.strip())]
    healthy = of == "MONDO" and all(ontology.is_normal(p) for p in parts)
    return healthy or all(ontology.find(p, of) is not None for p in parts)


def _is_cell_type(value: str) -> bool:
    """Whether a value is, or spells, a cell type; a tissue spells the cells of it too."""
    if value.casefold() in _SUSPENSION:
        return False
    return is_known(value, "CL") or (bool(spelt_terms(value)) and not is_known(value, "UBERON"))


def _are_calls(column: Facts) -> bool:
    words = {str(v).casefold() for v in column.values.index}
    return bool(words & MALIGNANT) and words <= MALIGNANT | NOT_MALIGNANT | UNCLEAR | {"nan"}


def _plain_answers(column: Facts) -> bool:
    """Whether calls are yes and no, which say nothing without a name."""
    return bool({str(v).casefold() for v in column.values.index} & _PLAIN_ANSWERS)


def _unfit(name: str, column: Facts, cells: pd.DataFrame, donor: str) -> str:
    """Return why a column cannot be meant, whatever its name."""
    if column.numbers:
        return "holds measurements"
    if column.n_values == 0:
        return "holds no value"
    if column.like_barcodes:
        return f"{column.n_values:,} values in {column.n_cells:,} cells name cells, not groups"
    if (name == "malignancy") != _are_calls(column):
        calls = "malignant, normal or unclear"
        return f"its values are {'not ' if name == 'malignancy' else ''}{calls}"
    if name == "sample" and donor in cells.columns:
        mixed = int((cells.groupby(column.name, observed=True)[donor].nunique() > 1).sum())
        if mixed:
            return f"{mixed:,} of its {column.n_values:,} values hold several donors"
    return ""


def _possible(name: str, known: list[Facts], cells: pd.DataFrame) -> list[Facts]:
    """Return columns that could be meant though neither name nor contents say so."""
    if name in ("assay", "suspension", "malignancy"):
        return []
    fitting = [f for f in known if not _unfit(name, f, cells, "") and _says_words(f)]
    fitting = [f for f in fitting if f.n_values <= _MOST_VALUES[name]]
    like = "sample" if name == "donor" else name
    return sorted(fitting, key=lambda f: (_rank(like, f.name), f.n_missing > 0))


def _says_words(column: Facts) -> bool:
    """Whether a column holds several words: no numbers (of clusters), no yes and no."""
    words = [str(v).casefold() for v in column.values.index[:50]]
    named = [w for w in words if re.search(r"[^\W\d]", w) and not w.startswith("=")]
    return len(words) > 1 and 2 * len(named) > len(words) and not _ANSWERS.issuperset(words)


def _why(name: str, column: Facts, rank: int) -> str:
    values = f"{column.n_values:,} value{'s' * (column.n_values != 1)}"
    by = "its name" if rank < _NO_NAME else "its values"
    if name not in ONTOLOGY:
        return f"{by}; {values}"
    words = [str(v) for v in column.values.index[:_LOOKED_UP]]
    terms = [w for w in words if is_known(w, ONTOLOGY[name])]
    spelt = sum(bool(spelt_terms(w)) for w in set(words) - set(terms)) * (name == "cell_type")
    also = f", {spelt:,} spelt otherwise" if spelt else ""
    return f"{by}; {values}, {len(terms):,} in {ONTOLOGY[name]}{also}"
