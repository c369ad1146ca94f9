"""Folders of 10x matrix-market files: which files are a sample, and the genes samples share."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.errors import AtlasError, Problem, listed, plain, raise_all

__all__ = ["Genes", "Sample", "find_samples", "shared_genes", "unread"]

_MATRIX = re.compile(r"^(?P<prefix>.*?)(?:matrix|counts)\.mtx(?:\.gz)?$")
_MATRICES, _BARCODES = ("matrix.mtx", "counts.mtx"), ("barcodes.tsv",)
_FEATURES = ("features.tsv", "genes.tsv")
_ON_Y = "_PAR_Y"
_VERSION = re.compile(rf"\.\d+(?=({_ON_Y})?$)")
_ACCESSION = re.compile(r"^GSM\d+[._-]?")
_GENERIC = frozenset(
    {
        "count",
        "filtered",
        "filtered_feature_bc_matrix",
        "filtered_gene_bc_matrices",
        "grch37",
        "grch38",
        "hg19",
        "hg38",
        "matrix",
        "outs",
        "raw_feature_bc_matrix",
        "raw_gene_bc_matrices",
        "sample_filtered_feature_bc_matrix",
    }
)


@dataclass(frozen=True)
class Sample:
    """The three files of a sample.

    Attributes
    ----------
    name
        Name of the sample, empty if the folder is one sample that has none.
    matrix, barcodes, features
        Its files.
    """

    name: str
    matrix: Path
    barcodes: Path
    features: Path


@dataclass(frozen=True)
class Genes:
    """Genes that several gene tables have in common.

    Attributes
    ----------
    ids, symbols
        What to call them.
    columns
        For each table its rows that are these genes, shape ``(n_genes,)`` each.
    note
        What was left out and why, empty if nothing was.
    """

    ids: list[str]
    symbols: list[str | None]
    columns: list[NDArray[np.int64]]
    note: str


def find_samples(folder: Path) -> list[Sample]:
    """Find the samples of a folder, sorted by name.

    Matrix, barcodes and features under their plain names in the folder itself are one sample.
    Else every set of them in a folder below is a sample, called after that folder (without
    the GEO accession, and above folders that Cell Ranger always makes), or, where several
    are in one folder, after what stands before ``matrix.mtx``.

    Raises
    ------
    AtlasError
        If there is none, a file is missing, or two samples have one name.
    """
    plainly = [folder / f"{name}{end}" for name in _MATRICES for end in ("", ".gz")]
    if any(path.is_file() for path in plainly):
        return [Sample("", *(_file(folder, "", n) for n in (_MATRICES, _BARCODES, _FEATURES)))]
    samples: dict[str, Sample] = {}
    problems: list[Problem] = []
    for place, prefix in _places(folder):
        name = _name(place, prefix, folder)
        try:
            files = [_file(place, prefix, n) for n in (_MATRICES, _BARCODES, _FEATURES)]
        except AtlasError as error:
            problems += error.problems
            continue
        sample = Sample(name, *files)
        if name in samples:
            wrong = f"is another matrix of the sample '{plain(name)}' ({samples[name].matrix})"
            problems.append(Problem(str(sample.matrix), "", wrong, "keep one of them"))
        samples[name] = sample
    raise_all(AtlasError, problems)
    if not samples:
        _file(folder, "", _MATRICES)
    return [samples[name] for name in sorted(samples)]


def unread(folder: Path, samples: Sequence[Sample]) -> str:
    """Say which matrices of a folder are left out because it is a sample itself; else empty."""
    if samples[0].name:
        return ""
    left = [place.relative_to(folder) / prefix for place, prefix in _places(folder)]
    left = [path for path in left if path != Path()]
    if not left:
        return ""
    return f"the folder is one sample itself, {len(left)} more in it were not read: {listed(left)}"


def _places(folder: Path) -> list[tuple[Path, str]]:
    """Return folder and file-name prefix of every matrix below a folder."""
    found = set()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            match = _MATRIX.match(name)
            if match and not name.startswith("."):
                found.add((Path(place), match["prefix"]))
    return sorted(found)


def _name(place: Path, prefix: str, folder: Path) -> str:
    named = prefix.strip("._- ")
    if not named:
        while place != folder and place.name.casefold() in _GENERIC:
            place = place.parent
        named = place.name
    return _ACCESSION.sub("", named) or named


def _file(folder: Path, prefix: str, names: tuple[str, ...]) -> Path:
    for path in (folder / f"{prefix}{n}{end}" for n in names for end in ("", ".gz")):
        if path.is_file():
            return path
    found = listed(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no folder"
    wanted = " or ".join(f"{plain(prefix)}{n}[.gz]" for n in names)
    raise AtlasError.one(
        folder, "", f"has no {wanted} (found: {found})", "give the folder with the three 10x files"
    )


def shared_genes(tables: Sequence[pd.DataFrame], location: str) -> Genes:
    """Return the genes that all gene tables hold, in the order of the first.

    They are matched by Ensembl id (without version) if all tables give them, else by symbol;
    an identifier that stands twice in a table matches nothing. The copy of a gene on Y
    (``_PAR_Y``) is a row of its own: a gene that only some tables hold twice is left out, for
    its counts could not be compared. With a single table all genes are kept as they are.

    Parameters
    ----------
    tables
        Columns ``id``, ``symbol`` and ``is_gene``, one row per row of the matrix.
    location
        The atlas, for messages.

    Raises
    ------
    AtlasError
        If they share no gene.
    """
    first, *others = tables
    if not others:
        kept = np.flatnonzero(first["is_gene"])
        genes = first.iloc[kept]
        return Genes(list(genes["id"]), list(genes["symbol"]), [kept], "")
    by_id = all(t.loc[t["is_gene"], "id"].str.startswith("ENSG").all() for t in tables)
    keys = [_keys(table, "id" if by_id else "symbol") for table in tables]
    in_all = [key for key in keys[0].index if all(key in other.index for other in keys[1:])]
    on_y = {key for table in keys for key in table.index if key.endswith(_ON_Y)} - {*in_all}
    common = [key for key in in_all if f"{key}{_ON_Y}" not in on_y]
    how = "Ensembl id" if by_id else "symbol"
    if not common:
        wrong = f"the {len(tables)} gene tables of its samples share no {how}"
        remedy = "register samples with different genes as separate atlases"
        raise AtlasError.one(location, "genes", wrong, remedy)
    columns = [key.loc[common].to_numpy(np.int64) for key in keys]
    symbols = list(first["symbol"].iloc[columns[0]])
    sizes = " and ".join(f"{int(t['is_gene'].sum()):,}" for t in tables)
    note = (
        f"its samples were counted with {len(tables)} gene references ({sizes} genes): the "
        f"{len(common):,} genes that all hold exactly once, matched by {how}, are used, the "
        "others count as not measured"
    )
    return Genes(common, symbols, columns, note)


def _keys(table: pd.DataFrame, column: str) -> pd.Series:
    """Return the row of each identifier that stands in a table once."""
    genes = table.loc[table["is_gene"], column]
    if column == "id":
        genes = genes.str.replace(_VERSION, "", regex=True)
    rows = pd.Series(np.flatnonzero(table["is_gene"]), index=genes.to_numpy())
    return rows[~rows.index.duplicated(keep=False) & (rows.index != "")]
