"""AnnData files with broken parts."""

import gzip
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from hostile.good import Case, h5ad, swap


def broken(edit: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    """Write a good h5ad file, then change what is inside."""

    def make(folder: Path) -> None:
        h5ad()(folder)
        with h5py.File(folder / "a.h5ad", "r+") as file:
            edit(file)

    return make


def replaced(place: str, value: object) -> Callable[[Path], None]:
    return broken(swap(place, value))


def content(edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the bytes of an h5ad file."""

    def make(folder: Path) -> None:
        h5ad()(folder)
        path = folder / "a.h5ad"
        path.write_bytes(edit(path.read_bytes()))

    return make


def attribute(name: str, value: object) -> Callable[[Path], None]:
    def edit(file: h5py.File) -> None:
        if value is None:
            del file["X"].attrs[name]
        else:
            file["X"].attrs[name] = value

    return broken(edit)


CASES = [
    Case("empty file", content(lambda b: b""), "a.h5ad"),
    Case("text instead of HDF5", content(lambda b: b"gene\tcell\n"), "a.h5ad"),
    Case("only the signature", content(lambda b: b[:8]), "a.h5ad"),
    Case("first half only", content(lambda b: b[: len(b) // 2]), "truncated"),
    Case("last bytes cut off", content(lambda b: b[:-100]), "truncated"),
    Case("gzipped", content(gzip.compress), "a.h5ad"),
    Case("no obs", broken(lambda f: f.pop("obs")), "not AnnData"),
    Case("no var", broken(lambda f: f.pop("var")), "not AnnData"),
    Case("no matrix", broken(lambda f: f.pop("X")), "no matrix holds raw counts"),
    Case("no indptr", broken(lambda f: f.pop("X/indptr")), "cannot be read"),
    Case("no indices", broken(lambda f: f.pop("X/indices")), "cannot be read"),
    Case("no data", broken(lambda f: f.pop("X/data")), "cannot be read"),
    Case("indptr goes back", replaced("X/indptr", lambda v: v[::-1]), "cannot be read"),
    Case("indptr too short", replaced("X/indptr", lambda v: v[:-3]), "cannot be read"),
    Case("indptr beyond the data", replaced("X/indptr", lambda v: v * 3), "cannot be read"),
    Case("column beyond the genes", replaced("X/indices", lambda v: v + 95), "out of range"),
    Case("negative column", replaced("X/indices", lambda v: v - 9), "out of range"),
    Case("data shorter than indices", replaced("X/data", lambda v: v[:-5]), "cannot be read"),
    Case("matrix of text", replaced("X/data", lambda v: v.astype("S4")), "text"),
    Case("matrix of truth values", replaced("X/data", lambda v: v > 0), "true/false"),
    Case("complex numbers", replaced("X/data", lambda v: v.astype(complex)), "a.h5ad"),
    Case("axes swapped in the shape", attribute("shape", np.array([100, 60])), "cannot be read"),
    Case("no shape", attribute("shape", None), "a.h5ad"),
    Case("negative shape", attribute("shape", np.array([-60, 100])), "a.h5ad"),
    Case("shape of text", attribute("shape", "sixty"), "a.h5ad"),
    Case("three axes", attribute("shape", np.array([60, 100, 2])), "a.h5ad"),
    Case(
        "dangling link",
        broken(lambda f: f.move("X", "Y") or f.__setitem__("X", h5py.SoftLink("/no"))),
        "a.h5ad",
    ),
    Case(
        "matrix in another file",
        broken(lambda f: f.move("X", "Y") or f.__setitem__("X", h5py.ExternalLink("b.h5", "/X"))),
        "a.h5ad",
    ),
    Case("label column cut short", replaced("obs/tissue/codes", lambda v: v[:-4]), "a.h5ad"),
    Case("label codes out of range", replaced("obs/donor_id/codes", lambda v: v + 9), "a.h5ad"),
    Case("labels without categories", broken(lambda f: f.pop("obs/donor_id/categories")), "obs"),
    Case("no barcodes", broken(lambda f: f.pop("obs/_index")), "obs"),
    Case(
        "obs is no table", broken(lambda f: f.pop("obs") and f.__setitem__("obs", [1, 2])), "a.h5ad"
    ),
]
