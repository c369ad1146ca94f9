"""How fast each format is read: ``python tests/benchmarks/formats.py``.

Writes formats.md beside this file. One simulated world is written in every format; each file is
then read once through its adapter, all rows in order, as packing does. The counts must be equal.
"""

import gzip
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import scipy.io
import scipy.sparse as sp

from targetscore.config import AtlasRow
from targetscore.formats import open_atlas
from targetscore.simulate.world import World
from targetscore.simulate.write import write_world

CELLS, GENES, ROUNDS = 3_000, 20_000, 2
TEXT = h5py.string_dtype("utf-8")


def h5ad(data: ad.AnnData, place: Path) -> Path:
    data.write_h5ad(place / "a.h5ad", compression="gzip")
    return place / "a.h5ad"


def h5ad_csc(data: ad.AnnData, place: Path) -> Path:
    return h5ad(ad.AnnData(data.X.tocsc(), data.obs, data.var), place)


def h5ad_dense(data: ad.AnnData, place: Path) -> Path:
    return h5ad(ad.AnnData(data.X.toarray(), data.obs, data.var), place)


def loom(data: ad.AnnData, place: Path) -> Path:
    """By the published specification 3.0.0, with the chunks and compression of its library."""
    with h5py.File(place / "a.loom", "w") as file:
        how = {"chunks": (64, 64), "compression": "gzip", "compression_opts": 2}
        file.create_dataset("matrix", data=data.X.T.toarray(), maxshape=(data.n_vars, None), **how)
        for group in ("layers", "row_attrs", "col_attrs"):
            file.create_group(group)
        file.create_dataset("attrs/LOOM_SPEC_VERSION", data="3.0.0", dtype=TEXT)
        file["row_attrs"].create_dataset("Accession", data=list(data.var_names), dtype=TEXT)
        file["col_attrs"].create_dataset("CellID", data=list(data.obs_names), dtype=TEXT)
    return place / "a.loom"


def tenx_h5(data: ad.AnnData, place: Path) -> Path:
    with h5py.File(place / "a.h5", "w") as file:
        how = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "chunks": (80_000,)}
        matrix = file.create_group("matrix")
        matrix.create_dataset("data", data=data.X.data.astype(np.int32), **how)
        matrix.create_dataset("indices", data=data.X.indices.astype(np.int64), **how)
        matrix["indptr"] = data.X.indptr.astype(np.int64)
        matrix["shape"] = np.array(data.shape[::-1], dtype=np.int32)
        matrix["barcodes"] = list(data.obs_names)
        for name, values in (
            ("id", list(data.var_names)),
            ("name", list(data.var_names)),
            ("feature_type", ["Gene Expression"] * data.n_vars),
            ("genome", ["GRCh38"] * data.n_vars),
        ):
            matrix[f"features/{name}"] = values
    return place / "a.h5"


def _mtx(data: ad.AnnData, place: Path) -> None:
    place.mkdir(exist_ok=True)
    scipy.io.mmwrite(place / "matrix.mtx", data.X.T.tocsc().astype(np.int64))
    content = {
        "matrix.mtx": (place / "matrix.mtx").read_bytes(),
        "barcodes.tsv": "".join(f"{c}\n" for c in data.obs_names).encode(),
        "features.tsv": "".join(f"{g}\t{g}\tGene Expression\n" for g in data.var_names).encode(),
    }
    (place / "matrix.mtx").unlink()
    for name, value in content.items():
        (place / f"{name}.gz").write_bytes(gzip.compress(value, 4))


def tenx_mtx(data: ad.AnnData, place: Path) -> Path:
    _mtx(data, place)
    return place


def tenx_samples(data: ad.AnnData, place: Path) -> Path:
    for number, rows in enumerate(np.array_split(np.arange(data.n_obs), 10)):
        _mtx(data[rows], place / f"sample{number}")
    return place


def geo_text(data: ad.AnnData, place: Path) -> Path:
    for number, rows in enumerate(np.array_split(np.arange(data.n_obs), 10)):
        names = [f"s{number}_{c}" for c in data.obs_names[rows]]
        dense = data.X[rows].T.toarray().astype(np.int64)
        with gzip.open(place / f"GSM1_s{number}.dem.txt.gz", "wt", 4) as stream:
            stream.write("\t".join(["Gene", *names]) + "\n")
            for gene, counts in zip(data.var_names, dense, strict=True):
                stream.write("\t".join([gene, *map(str, counts.tolist())]) + "\n")
        with gzip.open(place / f"GSM1_s{number}.anno.txt.gz", "wt") as stream:
            stream.write("Cell\tdonor\n" + "".join(f"{n}\tD{number}\n" for n in names))
    return place


def soma(data: ad.AnnData, place: Path) -> Path:
    import tiledbsoma.io

    tiledbsoma.io.from_anndata(str(place / "store"), data, "RNA", X_layer_name="raw")
    return place / "store"


WAYS: dict[str, tuple[str, str, Callable[[ad.AnnData, Path], Path]]] = {
    "h5ad, by cell (CSR)": ("h5ad", "X, gzip-4", h5ad),
    "h5ad, by gene (CSC)": ("h5ad", "X, gzip-4; turned through a temporary file", h5ad_csc),
    "h5ad, dense": ("h5ad", "X, gzip-4", h5ad_dense),
    "loom": ("loom", "/matrix, gzip-2, chunks of 64 × 64", loom),
    "10x HDF5": ("tenx_h5", "/matrix of Cell Ranger 3 and later, gzip-4", tenx_h5),
    "10x matrix-market": ("tenx_mtx", "matrix.mtx.gz", tenx_mtx),
    "10x matrix-market, 10 samples": ("tenx_mtx", "10 folders", tenx_samples),
    "GEO text, 10 samples": ("geo_text", "*.dem.txt.gz and *.anno.txt.gz", geo_text),
    "TileDB-SOMA": ("soma", "RNA/raw of a local experiment", soma),
}


def read(kind: str, path: Path, expected: sp.csr_matrix) -> float:
    """Read all rows once; return processor seconds, names of cells and genes included."""
    url = f"soma:{path}" if kind == "soma" else str(path)
    row = AtlasRow(
        atlas="a", kind="simulated", format=kind, version="1", licence="CC0-1.0", url=url
    )
    start = time.process_time()
    atlas = open_atlas(row, str(path))
    n_cells, n_genes = len(atlas.cells), len(atlas.gene_ids)
    total, n_values = 0, 0
    for block in atlas.rows(0, atlas.shape[0]):
        _, values = block.load()
        total += int(values.sum(dtype=np.float64))
        n_values += int(np.count_nonzero(values))
    seconds = time.process_time() - start
    found = ((n_cells, n_genes), total, n_values)
    if found != (expected.shape, int(expected.sum()), expected.nnz):
        raise SystemExit(f"{kind}: {found} was read, {expected!r} was written")
    return seconds


def size(path: Path) -> float:
    """Return the megabytes of a file or folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files) / 1e6


def table(cells: int, genes: int) -> list[str]:
    """Return the lines of the table."""
    folder = Path(tempfile.mkdtemp())
    try:
        world = World(seed=1, patients=3, healthy_donors=3, cells=cells, genes=genes)
        write_world(world, folder / "world.h5ad")
        data = ad.read_h5ad(folder / "world.h5ad")
        data = ad.AnnData(sp.csr_matrix(data.X), data.obs[["donor_id"]], data.var[[]])
        lines = []
        for number, (name, (kind, what, write)) in enumerate(WAYS.items()):
            place = folder / str(number)
            place.mkdir()
            path = write(data, place)
            read(kind, path, data.X)  # compiles, and fills the cache of the system
            seconds = min(read(kind, path, data.X) for _ in range(ROUNDS))
            rate = round(data.n_obs / seconds, -2)
            lines.append(
                f"| {name} | {what} | {data.n_obs:,} | {size(path):,.0f} | {seconds:,.2f} "
                f"| {rate:,.0f} |"
            )
            shutil.rmtree(place)
            print(lines[-1], flush=True)
        head = f"{data.n_obs:,} cells, {data.n_vars:,} genes, {data.X.nnz / 1e6:,.1f} M values"
        return [head, *lines]
    finally:
        shutil.rmtree(folder)


def main(words: Sequence[str]) -> None:
    """Measure, and write formats.md."""
    cells = int(words[0]) if words else CELLS
    head, *lines = table(cells, GENES)
    text = f"""# Formats: how fast each is read

Written by `python tests/benchmarks/formats.py`; do not edit. The cells are **simulated**, not
data: {head}, written in every format by the script.

One pass over all rows through the adapter, names of cells and genes included: processor time, the
smaller of {ROUNDS} after one that is not counted. It is wall time on one idle core; packing reads
several pieces of HDF5 formats at once and takes less ([README](README.md)). A file ten times as
long spends less per cell on opening it.

| format | what was read | cells | MB on disk | processor s | cells/s |
|---|---|---|---|---|---|
"""
    Path(__file__).with_suffix(".md").write_text(text + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
