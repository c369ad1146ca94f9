"""The same cells in two atlases would count twice: found from sketches of their names.

A sketch holds the smallest hash values of a set; those of two sets tell how much they share,
whatever their size (bottom-k sketch, doi:10.1145/1281100.1281133).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from targetscore.errors import AtlasError, Problem, raise_all

SIZE = 3000
"""Hash values kept of each set."""

MIN_SHARED = 10
MIN_SHARE = 0.1
"""Share of the smaller atlas that both must hold. Barcodes are drawn from lists of 737,000 or
more, so 70,000 cells of donors that happen to have one name would be needed to share a tenth."""

_DNA = re.compile(r"[ACGT]{10,}")
_LONG = 12
_DECORATED = 5
_JOINIDS = ("soma_joinid", "observation_joinid")
_WORDS = {
    "barcode": "barcodes",
    "barcode_of_donor": "barcodes and donors",
    "soma_joinid": "soma_joinid of the CELLxGENE Census",
    "observation_joinid": "observation_joinid of CELLxGENE",
}


def sketch(cells: pd.DataFrame, table: pd.DataFrame) -> dict[str, list[int]]:
    """Sketch the names of an atlas's cells.

    Parameters
    ----------
    cells
        Kept cells: ``row``, ``cell`` and ``donor`` of contract ``ingest/cells``.
    table
        All columns of the publisher, one row per matrix row.

    Returns
    -------
    dict
        Sorted hash values per kind of name: whole barcodes that hold more than the barcode
        itself, DNA barcode with donor, and CELLxGENE's own ids; kinds an atlas lacks are absent.
    """
    barcode = cells["cell"].astype(str).reset_index(drop=True)
    dna = barcode.str.extract(f"({_DNA.pattern})", expand=False)
    whole = barcode[dna.notna() & (barcode.str.len() - dna.str.len() >= _DECORATED)]
    telling = dna.notna() | (barcode.str.len() >= _LONG)
    core = dna.where(dna.notna(), barcode)[telling].astype(str)
    donor = cells["donor"].astype(str).str.casefold().reset_index(drop=True)[telling]
    names = {"barcode": whole, "barcode_of_donor": core.str.cat(donor, sep="|")}
    rows = cells["row"].to_numpy()
    names |= {k: table[k].iloc[rows].dropna().astype(str) for k in _JOINIDS if k in table}
    return {kind: _smallest(values) for kind, values in names.items() if len(values)}


def _smallest(values: pd.Series) -> list[int]:
    hashed = pd.util.hash_array(values.to_numpy(dtype=object), categorize=False)
    found = np.unique(hashed >> np.uint64(11))  # 53 bits: what JSON keeps exactly
    return [int(v) for v in found[:SIZE]]


def shared(a: Iterable[int], b: Iterable[int]) -> tuple[int, float]:
    """Return hash values that two sketches share, and the share of the smaller set, 0–1.

    Only values below the largest of each full sketch can be compared.
    """
    sets = [np.fromiter(v, dtype=np.int64) for v in (a, b)]
    top = min((int(v[-1]) for v in sets if len(v) == SIZE), default=1 << 53)
    one, other = (v[v <= top] for v in sets)
    both = len(np.intersect1d(one, other))
    return both, both / max(min(len(one), len(other)), 1)


def same_cells(summaries: Iterable[Mapping[str, Any]], file: str) -> Iterator[Problem]:
    """Yield a problem for every two atlases that hold the same cells.

    Parameters
    ----------
    summaries
        Summaries of ingest, with ``atlas`` and ``cell_sketch``.
    file
        Where the atlases are named, for messages.
    """
    for one, other in combinations(summaries, 2):
        a, b = (s.get("cell_sketch", {}) for s in (one, other))
        found = [(kind, *shared(a[kind], b[kind])) for kind in _WORDS if kind in a and kind in b]
        sure = [f for f in found if f[1] >= MIN_SHARED and f[2] >= MIN_SHARE]
        if sure:
            kind, _, share = max(sure, key=lambda f: f[2])
            wrong = (
                f"'{one['atlas']}' and '{other['atlas']}' hold the same cells: about {share:.0%} "
                f"of the smaller one, by {_WORDS[kind]}"
            )
            remedy = "use one of them in an indication: donors must not count twice"
            yield Problem(file, f"{one['atlas']}, {other['atlas']}", wrong, remedy)


def refuse_same_cells(summaries: Iterable[Mapping[str, Any]], file: str) -> None:
    """Raise :class:`~targetscore.errors.AtlasError` if two atlases hold the same cells."""
    raise_all(AtlasError, list(same_cells(list(summaries), file)))
