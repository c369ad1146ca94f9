"""Prepare the files of the engine benchmark: ``python engine_files.py FOLDER CELLS``.

Files that are there are used again. The base atlas comes from the project's own simulator.
Two more sizes are simulated for the curve; the large one repeats the base atlas five times
with donors renamed, stored pieces copied as they are; one has the rows of the base permuted.

Groups: "500" is tissue × cell type × disease × population, donors pooled, each cut into
15 parts by the serial number of the cell; "6,000" the same by donor, cut into 30. Parts stand
for samples. The serial numbers follow the order in which cells were drawn, so that the rows of
a group are spread over all rows of its donor. No gene is masked, so that the library size is
that of ``scanpy.pp.normalize_total``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem, write_elem

from targetscore.contracts import CELLS, GENES
from targetscore.io import atomic_path, write_table
from targetscore.profile.groups import LABELS
from targetscore.simulate import parse_url, write_world
from targetscore.simulate.write import CHUNK, Stream

N_GENES = 33_000
COPIES = 5
PARTS = {500: 15, 6000: 30}
_PADDING = "PADDING"
_GZIP = {"compression": "gzip", "compression_opts": 4, "track_times": False}


def prepare(folder: Path, cells: int) -> dict[str, dict[str, int]]:
    """Make every file that is not there; return cells, values and bytes of each atlas."""
    base = folder / "base.h5ad"
    for path, n in ((base, cells), (folder / "half.h5ad", cells // 2)):
        simulated(path, n)
    simulated(folder / "quarter.h5ad", cells // 4)
    if not (path := folder / "large.h5ad").exists():
        copied(base, path, COPIES)
    if not (path := folder / "shuffled.h5ad").exists():
        permuted(base, path)
    for path in sorted(folder.glob("*.h5ad")):
        stage_files(path)
    return {path.stem: _size(path) for path in sorted(folder.glob("*.h5ad"))}


def _size(path: Path) -> dict[str, int]:
    with h5py.File(path) as file:
        values = len(file["X/data"])
    cells = len(np.load(path.with_suffix(f".{min(PARTS)}.npy"), mmap_mode="r"))
    return {"cells": cells, "values": values, "bytes": path.stat().st_size}


def simulated(path: Path, cells: int) -> None:
    """Write a simulated atlas, unless it is there."""
    if not path.exists():
        url = f"simulate:myeloma?cells={cells}&genes={N_GENES}"
        write_world(parse_url(url, "engine_files.py", "url"), path)


@contextmanager
def _rewritten(source: Path, target: Path) -> Iterator[tuple[h5py.File, h5py.File]]:
    """Give the old file and a new one that gets every part the block did not write."""
    with atomic_path(target) as path, h5py.File(source) as old, h5py.File(path, "w") as new:
        new.attrs.update(old.attrs)
        yield old, new
        new["X"].attrs.update({k: v for k, v in old["X"].attrs.items() if k != "shape"})
        for name in old:
            if name not in new:
                old.copy(name, new)


def permuted(source: Path, target: Path) -> None:
    """Write an atlas with its rows in another order."""
    with _rewritten(source, target) as (old, new):
        pointer = old["X/indptr"][:].astype(np.int64)
        data, indices = old["X/data"][:], old["X/indices"][:]
        order = np.random.default_rng(1).permutation(len(pointer) - 1)
        lengths = np.diff(pointer)[order]
        stream = Stream(new.create_group("X"))
        for some in np.array_split(np.arange(len(order)), max(1, len(order) // 1000)):
            length = lengths[some]
            within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
            take = np.repeat(pointer[order[some]], length) + within
            stream.append(data[take], indices[take])
        stream.close()
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(old["X/indptr"].dtype)
        write_elem(new["X"], "indptr", ends, dataset_kwargs={"compression": "gzip"})
        new["X"].attrs["shape"] = old["X"].attrs["shape"]
        write_elem(new, "obs", read_elem(old["obs"]).iloc[order])


def copied(source: Path, target: Path, times: int) -> None:
    """Write an atlas several times over, donors renamed, without inflating its values.

    Each copy is filled up to whole pieces with zeros in rows of their own, which no cell table
    names.
    """
    with _rewritten(source, target) as (old, new):
        lengths = np.diff(old["X/indptr"][:].astype(np.int64))
        n_values, n_genes = int(lengths.sum()), int(old["X"].attrs["shape"][1])
        padding = np.arange(-n_values % CHUNK, dtype=np.int32) % n_genes
        extra = np.bincount(np.arange(len(padding)) // n_genes)
        matrix = new.create_group("X")
        for name, filled in (("data", np.zeros(len(padding))), ("indices", padding)):
            _repeat(old["X"][name], matrix, name, filled, times)
        all_lengths = np.tile(np.concatenate([lengths, extra]), times)
        ends = np.concatenate([[0], np.cumsum(all_lengths)])
        write_elem(matrix, "indptr", ends, dataset_kwargs={"compression": "gzip"})
        matrix.attrs["shape"] = np.array([len(ends) - 1, n_genes])
        obs = read_elem(old["obs"])
        rows = obs.iloc[np.r_[np.arange(len(obs)), np.zeros(len(extra), dtype=np.int64)]]
        parts = [_renamed(rows, len(obs), number) for number in range(1, times + 1)]
        write_elem(new, "obs", pd.concat(parts))


def _repeat(
    stored: h5py.Dataset, group: h5py.Group, name: str, filled: np.ndarray, times: int
) -> None:
    if stored.chunks != (CHUNK,) or stored.compression != "gzip" or stored.shuffle:
        raise SystemExit(f"{stored.file.filename} was not written by the simulator: delete it")
    length = len(stored) + len(filled)
    made = group.create_dataset(name, (length * times,), stored.dtype, chunks=(CHUNK,), **_GZIP)
    whole = len(stored) // CHUNK * CHUNK
    last = np.concatenate([stored[whole:], filled.astype(stored.dtype)])
    for start in range(0, length * times, length):
        for first in range(0, whole, CHUNK):
            mask, raw = stored.id.read_direct_chunk((first,))
            made.id.write_direct_chunk((start + first,), raw, mask)
        if len(filled):
            made[start + whole : start + length] = last


def _renamed(rows: pd.DataFrame, n_cells: int, number: int) -> pd.DataFrame:
    index = [f"COPY{number}_{name}" for name in rows.index[:n_cells]]
    index += [f"{_PADDING}{number}_{k}" for k in range(len(rows) - n_cells)]
    donors = {c: rows[c].astype(str) + f".{number}" for c in ("donor_id", "sample_id")}
    return rows.assign(**donors).set_axis(pd.Index(index, name=rows.index.name))


def stage_files(path: Path) -> None:
    """Write cells, genes and groups of an atlas beside it, in both ways of grouping."""
    if path.with_suffix(".done").exists():
        return
    with h5py.File(path) as file:
        obs, var = read_elem(file["obs"]), read_elem(file["var"])
    write_table(_genes(var), path.with_suffix(".genes.parquet"), GENES, {})
    for wanted, parts in PARTS.items():
        cells = _cells(obs, parts, pooled=wanted == min(PARTS))
        write_table(cells, path.with_suffix(f".{wanted}.parquet"), CELLS, {})
        labels = cells[list(LABELS)].astype("category")
        codes = labels.groupby(list(LABELS), sort=True, observed=True).ngroup()
        np.save(path.with_suffix(f".{wanted}.npy"), codes.to_numpy(np.int64))
    path.with_suffix(".done").touch()


def _genes(var: pd.DataFrame) -> pd.DataFrame:
    ids, symbols = var.index.astype(str), var["feature_name"].astype(str).to_numpy()
    return pd.DataFrame(
        {
            "column": np.arange(len(var), dtype=np.int32),
            "original_id": ids,
            "original_symbol": symbols,
            "gene_id": ids,
            "symbol": symbols,
            "resolution": "ensembl_id",
            "masked": False,
        }
    )


def _cells(obs: pd.DataFrame, parts: int, *, pooled: bool) -> pd.DataFrame:
    row = np.arange(len(obs))
    kept = ~obs.index.str.startswith(_PADDING)
    obs, row = obs[kept], row[kept]
    part = obs.index.str.rsplit("_", n=1).str[-1].astype(np.int64) % parts
    malignant = (obs["malignancy"] == "malignant").to_numpy()
    patient = (obs["disease"] != "normal").to_numpy()
    population = np.where(malignant, "diseased", np.where(patient, "microenvironment", "healthy"))
    donor = "all" if pooled else obs["donor_id"].astype(str).to_numpy()
    return pd.DataFrame(
        {
            "row": row,
            "cell": obs.index.astype(str),
            "donor": donor,
            "sample": np.char.add("part ", np.char.zfill(part.to_numpy().astype(str), 2)),
            "tissue_id": obs["tissue_ontology_term_id"].astype(str).to_numpy(),
            "tissue": obs["tissue"].astype(str).to_numpy(),
            "cell_type_id": obs["cell_type_ontology_term_id"].astype(str).to_numpy(),
            "cell_type": obs["cell_type"].astype(str).to_numpy(),
            "assay": "simulated droplet",
            "suspension": "cell",
            "disease": obs["disease"].astype(str).to_numpy(),
            "population": population,
            "author_cell_type": obs["cell_type"].astype(str).to_numpy(),
        }
    )


if __name__ == "__main__":
    print(json.dumps(prepare(Path(sys.argv[1]), int(sys.argv[2]))))
