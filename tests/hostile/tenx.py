"""10x matrices, as HDF5 and as matrix-market folders."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import scipy.sparse as sp

from hostile.good import GENES, Case, N, counts, h5ad, joined, kept_all, lines, swap, zipped


def tenx(edit: Callable[[h5py.File], object] = lambda f: None) -> Callable[[Path], dict[str, str]]:
    """Write a 10x HDF5 file, then change what is inside; labels are joined."""

    def make(folder: Path) -> dict[str, str]:
        by_cell = sp.csc_matrix(counts().T)
        with h5py.File(folder / "a.h5", "w") as file:
            matrix = file.create_group("matrix")
            for name in ("data", "indices", "indptr"):
                matrix[name] = getattr(by_cell, name)
            matrix["shape"] = by_cell.shape
            matrix["barcodes"] = np.array([f"cell{i}" for i in range(N)], "S")
            matrix["features/id"] = np.array([f"ENSG{i:011d}" for i in range(len(GENES))], "S")
            matrix["features/name"] = np.array(GENES, "S")
            matrix["features/feature_type"] = np.array(["Gene Expression"] * len(GENES), "S")
            edit(file)
        return {"format": "tenx_h5", **joined(folder)}

    return make


HDF5 = [
    Case("10x: right", tenx(), kept_all),
    Case("10x: no barcodes", tenx(lambda f: f.pop("matrix/barcodes")), "a.h5"),
    Case("10x: too few barcodes", tenx(swap("matrix/barcodes", lambda v: v[:-1])), "a.h5"),
    Case("10x: no feature types", tenx(lambda f: f.pop("matrix/features/feature_type")), "a.h5"),
    Case(
        "10x: antibodies only",
        tenx(swap("matrix/features/feature_type", lambda v: np.full(len(v), b"Antibody Capture"))),
        "holds no gene",
    ),
    Case("10x: negative shape", tenx(swap("matrix/shape", lambda v: -v)), "a.h5"),
    Case("10x: shape swapped", tenx(swap("matrix/shape", lambda v: v[::-1])), "a.h5"),
    Case("10x: decimals", tenx(swap("matrix/data", lambda v: v * 0.3)), "not whole numbers"),
    Case(
        "10x: indices out of range", tenx(swap("matrix/indices", lambda v: v + 100)), "out of range"
    ),
    Case(
        "10x: is AnnData",
        lambda folder: (
            h5ad()(folder)
            or {"format": "tenx_h5", "url": str((folder / "a.h5ad").rename(folder / "a.h5"))}
        ),
        "not a 10x matrix",
    ),
]


def mtx(edit: Callable[[Path], object] = lambda p: None, matrix=None) -> Callable[[Path], dict]:
    """Write a matrix-market folder, then change its files; labels are joined."""

    def make(folder: Path) -> dict[str, str]:
        path = folder / "mtx"
        path.mkdir()
        scipy.io.mmwrite(
            path / "matrix.mtx", sp.csc_matrix((counts() if matrix is None else matrix).T)
        )
        (path / "barcodes.tsv").write_text("".join(f"cell{i}\n" for i in range(N)))
        lines = [f"ENSG{i:011d}\t{g}\tGene Expression\n" for i, g in enumerate(GENES)]
        (path / "features.tsv").write_text("".join(lines))
        edit(path)
        return {"format": "tenx_mtx", **joined(folder)}

    return make


def last(value: str) -> Callable[[list[str]], list[str]]:
    """Replace the count of the last line."""
    return lambda found: [*found[:-1], " ".join([*found[-1].split()[:2], value])]


FOLDERS = [
    Case("mtx: right, gzipped", mtx(zipped("matrix.mtx")), kept_all),
    Case("mtx: gzip cut short", mtx(zipped("matrix.mtx", 200)), "matrix.mtx.gz"),
    Case("mtx: cut short", mtx(lines("matrix.mtx", lambda v: v[:-20])), "cut short"),
    Case("mtx: no barcodes", mtx(lambda p: (p / "barcodes.tsv").unlink()), "barcodes.tsv"),
    Case(
        "mtx: too few features",
        mtx(lines("features.tsv", lambda v: v[:-1])),
        "features has 99 lines",
    ),
    Case(
        "mtx: too many barcodes",
        mtx(lines("barcodes.tsv", lambda v: [*v, "more"])),
        "barcodes has 61",
    ),
    Case("mtx: empty", mtx(lambda p: (p / "matrix.mtx").write_text("")), "matrix.mtx"),
    Case(
        "mtx: dense",
        mtx(lines("matrix.mtx", lambda v: ["%%MatrixMarket matrix array real general", *v[1:]])),
        "matrix.mtx",
    ),
    Case(
        "mtx: header of text",
        mtx(lines("matrix.mtx", lambda v: [*v[:2], "a b c", *v[3:]])),
        "matrix.mtx",
    ),
    Case("mtx: count of text", mtx(lines("matrix.mtx", last("many"))), "matrix.mtx"),
    Case("mtx: negative count", mtx(lines("matrix.mtx", last("-3"))), "negative"),
    Case("mtx: decimal count", mtx(lines("matrix.mtx", last("2.5"))), "not whole numbers"),
    Case("mtx: gene 0", mtx(lines("matrix.mtx", lambda v: [*v[:-1], "0 60 1"])), "out of range"),
    Case(
        "mtx: gene beyond the last",
        mtx(lines("matrix.mtx", lambda v: [*v[:-1], "101 60 1"])),
        "out of range",
    ),
    Case("mtx: no count at all", mtx(matrix=counts() * 0), "no_counts"),
    Case(
        "mtx: a folder of nothing",
        lambda folder: (folder / "mtx").mkdir() or {"format": "tenx_mtx"},
        "matrix.mtx",
    ),
    Case("mtx: barcodes repeat", mtx(lines("barcodes.tsv", lambda v: ["cell1", *v[1:]])), "cell"),
]


CASES = [*HDF5, *FOLDERS]
