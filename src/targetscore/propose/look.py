"""Look at what someone brings: its format, where raw counts are, what it says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import pandas as pd

from targetscore.config import AtlasRow
from targetscore.config.load import parse
from targetscore.errors import AtlasError, TargetscoreError, listed, plain
from targetscore.fetch import local_path
from targetscore.formats import OpenAtlas, open_atlas
from targetscore.formats.base import BROKEN
from targetscore.formats.sparse_h5 import open_hdf5
from targetscore.genes import GeneTable, ensembl_id

__all__ = ["Found", "look", "recognise", "url_of"]

_PLAIN_PATH = re.compile(r"[\w./+,=@-]+")
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")
_DATASET = re.compile(r"/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.h5ad")
_ENOUGH = 0.5


@dataclass(frozen=True)
class Found:
    """A file or folder that was recognised and opened.

    Attributes
    ----------
    url
        How a registry row names it.
    format
        Name of the adapter.
    atlas
        The opened atlas.
    matrices
        Each matrix of the file with what its values look like; empty where the format has
        one only.
    reading
        Fields of the registry row that say how it is read (``counts``, ``gene_id``,
        ``gene_symbol``).
    said
        Fields of the registry row that the file itself states.
    """

    url: str
    format: str
    atlas: OpenAtlas
    matrices: list[tuple[str, str]]
    reading: dict[str, str]
    said: dict[str, str]


def recognise(path: Path) -> str:
    """Return the format of a file or folder, by its contents.

    Raises
    ------
    AtlasError
        If there is nothing, its name cannot be written down, or no adapter reads it.
    """
    if not str(path).isprintable():
        remedy = "rename it: letters, digits, '.', '_' and '-' are read everywhere"
        raise AtlasError.one(plain(path), "", "the name holds characters nobody can see", remedy)
    if path.is_dir():
        names = [p.name for p in path.iterdir()]
        if any(re.search(r"\.dem\.txt(\.gz)?$", n) for n in names):
            return "geo_text"
        if {"__group", "__tiledb_group.tdb"} & set(names):
            return "soma"
        if any(re.search(r"(matrix|counts)\.mtx(\.gz)?$", p.name) for p in path.rglob("*.mtx*")):
            return "tenx_mtx"
        wrong = f"the folder is of no known format (it holds {listed(sorted(names)) or 'nothing'})"
        remedy = (
            "give the folder with matrix.mtx, barcodes.tsv and features.tsv, with *.dem.txt and "
            "*.anno.txt, or a TileDB-SOMA store"
        )
        raise AtlasError.one(plain(path), "", wrong, remedy)
    if not path.is_file():
        raise AtlasError.one(plain(path), "", "there is no such file or folder", "check the path")
    if not h5py.is_hdf5(path):
        remedy = "give an .h5ad file, a 10x .h5 file, or a folder; unpack what is packed (gunzip)"
        raise AtlasError.one(plain(path), "", "is of no known format (not HDF5)", remedy)
    with open_hdf5(str(path), "an HDF5 file") as file:
        if "obs" in file and "var" in file:
            return "h5ad"
        return "loom" if "row_attrs" in file and "col_attrs" in file else "tenx_h5"


def url_of(path: str, kind: str = "h5ad") -> str:
    """Return how a registry row names a local path: as it is, or as an escaped file URL.

    A row separates URLs by spaces and replaces ``${NAME}``, so a path with such characters is
    written as ``file://`` with an absolute path. A TileDB-SOMA store has a URL of its own.

    Raises
    ------
    AtlasError
        If the URL of a store cannot hold the path.
    """
    if kind == "soma":
        if not _PLAIN_PATH.fullmatch(path):
            remedy = "rename it: letters, digits, '.', '_' and '-'"
            raise AtlasError.one(plain(path), "", "cannot stand in the URL of a store", remedy)
        return f"soma:{path}"
    if _PLAIN_PATH.fullmatch(path) and local_path(path) is not None:
        return path
    return f"file://{quote(str(Path(path).absolute()))}"


def look(path: str, name: str, given: Mapping[str, str], genes: GeneTable) -> Found:
    """Open what a user brings and find its raw counts and gene names.

    Parameters
    ----------
    path
        File or folder.
    name
        Name the atlas will have.
    given
        Fields of the row the user has set; ``format``, ``counts``, ``gene_id`` and
        ``gene_symbol`` are honoured.
    genes
        Names of genes.

    Raises
    ------
    AtlasError
        If it cannot be opened, or no matrix holds raw counts.
    """
    try:
        return _look(path, name, given, genes)
    except BROKEN as error:
        wrong = f"cannot be read ({type(error).__name__}: {plain(error)})"
        remedy = "its structure is damaged or unusual: fetch it again, or write it again"
        raise AtlasError.one(plain(path), "", wrong, remedy) from error


def _look(path: str, name: str, given: Mapping[str, str], genes: GeneTable) -> Found:
    kind = given.get("format") or recognise(Path(path))
    reading = {k: given[k] for k in ("counts", "gene_id", "gene_symbol") if given.get(k)}
    basis = {"atlas": name, "kind": "mixed", "format": kind, "url": url_of(path, kind)}
    row = parse(AtlasRow, basis | {"version": "?", "licence": "?"} | reading, "command line")
    if kind != "h5ad":
        return Found(row.url, kind, open_atlas(row, path), [], reading, {})
    matrices = _matrices(row, path)
    atlas = open_atlas(row, path)
    reading["counts"] = atlas.counts
    if not {"gene_id", "gene_symbol"} & set(reading):
        reading |= _gene_columns(path, atlas, genes)
        atlas = open_atlas(row.model_copy(update=reading), path)
    return Found(row.url, kind, atlas, matrices, reading, _said(path))


def _matrices(row: AtlasRow, path: str) -> list[tuple[str, str]]:
    with h5py.File(path) as file:
        places = [p for p in ("raw/X", "X") if p in file]
        places += sorted(f"layers/{n}" for n in file.get("layers", {}))
    return [(place, _verdict(row, path, place)) for place in places]


def _verdict(row: AtlasRow, path: str, place: str) -> str:
    try:
        open_atlas(row.model_copy(update={"counts": place}), path).peek()
    except TargetscoreError as error:
        return error.problems[0].wrong.split(" (", 1)[0]
    return "raw counts"


def _gene_columns(path: str, atlas: OpenAtlas, genes: GeneTable) -> dict[str, str]:
    """Return columns of the gene table that the adapter would not take by itself."""
    table = _var(path, atlas.counts)
    ids = _share(atlas.gene_ids, ensembl_id)
    columns = {}
    texts = {str(c): [str(v) for v in table[c]] for c in table if table[c].dtype.kind in "OST"}
    if ids < _ENOUGH:
        by_id = {c: _share(v, ensembl_id) for c, v in texts.items()}
        best = max(by_id, key=by_id.__getitem__, default="")
        if best and by_id[best] >= _ENOUGH:
            columns["gene_id"] = best
    elif not any(atlas.gene_symbols):
        known = {c: sum(v in genes.approved for v in texts[c]) for c in texts}
        best = max(known, key=known.__getitem__, default="")
        if best and known[best]:
            columns["gene_symbol"] = best
    return columns


def _share(values: list[str], test: Any) -> float:
    return sum(bool(test(v)) for v in values) / max(len(values), 1)


def _var(path: str, counts: str) -> pd.DataFrame:
    from anndata.io import read_elem  # slow to import

    with h5py.File(path) as file:
        table = read_elem(file["raw/var" if counts.startswith("raw/") else "var"])
    return table.astype({c: object for c in table if table[c].dtype == "category"})


def _said(path: str) -> dict[str, str]:
    """Return what an h5ad file says of itself, as CELLxGENE and the simulation write it."""
    uns: dict[str, str] = {}
    with h5py.File(path) as file:
        for key in ("citation", "simulated"):
            with suppress(KeyError, TypeError, ValueError, AttributeError):
                value = file["uns"][key]
                uns[key] = str(value.asstr()[()] if value.dtype.kind == "O" else value[()])
    said = {"kind": "simulated"} if uns.get("simulated") == "True" else {}
    citation = uns.get("citation", "")
    if not citation.isprintable():
        return said
    doi, dataset = _DOI.search(citation), _DATASET.search(citation)
    if doi:
        said["doi"] = doi.group().rstrip(".,;)")
    if dataset:
        said |= {"version": dataset.group(1), "licence": "CC BY 4.0 (CELLxGENE Discover)"}
    return said
