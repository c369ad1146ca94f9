"""Write a simulated world as an h5ad file, a block of cells at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore.io import atomic_path
from targetscore.simulate.design import CELLS, Design, design
from targetscore.simulate.draw import draw, profile
from targetscore.simulate.world import World

TITLE = "SIMULATED multiple myeloma world (invented cells)"
BLOCK = 256  # cells that share a random stream; part of what a seed means
CHUNK = 40_000  # entries of a compressed piece, as anndata chooses for files of this kind
_DISEASE = ("MONDO:0009693", "plasma cell myeloma")
_NORMAL = ("PATO:0000461", "normal")


@dataclass(frozen=True)
class Block:
    """Cells that were drawn together.

    Attributes
    ----------
    sample
        Number of the sample in the design.
    kinds
        Row of each cell in the table of cell kinds, ``(n_cells,)``.
    doublet
        Whether the droplet held a second cell, ``(n_cells,)``.
    per_cell
        Non-zero entries of each cell, ``(n_cells,)``.
    indices, data
        Column and count of the entries, ``(n_entries,)``.
    """

    sample: int
    kinds: NDArray[np.int64]
    doublet: NDArray[np.bool_]
    per_cell: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]


def blocks(plan: Design) -> Iterator[Block]:
    """Draw the cells of a world, in file order."""
    for number, sample in enumerate(plan.samples):
        rates = profile(plan, sample)
        here = np.repeat(np.arange(len(sample.kinds)), sample.n_cells)
        here = sample.stream(plan.world, CELLS).permutation(here)
        for k, first in enumerate(range(0, len(here), BLOCK)):
            kinds = here[first : first + BLOCK]
            stream = sample.stream(plan.world, CELLS, k)
            per_cell, indices, data, doublet = draw(plan, rates, kinds, stream)
            yield Block(number, sample.kinds[kinds], doublet, per_cell, indices, data)


class Stream:
    """Two growing HDF5 datasets of equal length, written in whole chunks.

    The bytes of the file do not depend on the pieces in which entries arrive.
    """

    def __init__(self, group: h5py.Group) -> None:
        self.length = 0
        self._waiting: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = []
        self._n_waiting = 0
        self._datasets = [
            group.create_dataset(
                name,
                shape=(0,),
                maxshape=(None,),
                chunks=(CHUNK,),
                dtype=dtype,
                compression="gzip",
                compression_opts=4,
                track_times=False,
            )
            for name, dtype in (("data", np.float32), ("indices", np.int32))
        ]

    def append(self, data: NDArray[np.float32], indices: NDArray[np.int32]) -> None:
        """Add entries; whole chunks are written, the rest waits."""
        self._waiting.append((data, indices))
        self._n_waiting += len(data)
        if self._n_waiting >= CHUNK:
            self._write(self._n_waiting // CHUNK * CHUNK)

    def close(self) -> None:
        """Write what waits."""
        self._write(self._n_waiting)

    def _write(self, upto: int) -> None:
        columns = [np.concatenate(parts) for parts in zip(*self._waiting, strict=True)]
        for first in range(0, upto, CHUNK):
            last = min(first + CHUNK, upto)
            for dataset, values in zip(self._datasets, columns, strict=True):
                dataset.resize((self.length + last,))
                dataset[self.length + first : self.length + last] = values[first:last]
        self.length += upto
        self._n_waiting -= upto
        self._waiting = [(columns[0][upto:], columns[1][upto:])]


def write_world(world: World, path: str | os.PathLike[str]) -> None:
    """Write a world as h5ad; equal worlds give equal bytes with the same packages.

    The file looks like those of CELLxGENE: raw counts in ``X`` (CSR, float32), their column
    names in ``obs``, Ensembl ids in ``var``. Two columns say what nobody could know of real
    cells: ``malignancy`` (``malignant`` or ``normal``) and ``simulated_doublet``.

    Parameters
    ----------
    world
        What to simulate.
    path
        The file; it appears when it is complete. Memory stays bounded: one block of cells,
        and about 100 bytes per cell for its labels.
    """
    from anndata.io import write_elem  # slow to import, and the URL alone is often wanted

    plan = design(world)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["encoding-type"] = "anndata"
        file.attrs["encoding-version"] = "0.1.0"
        matrix = file.create_group("X")
        stream = Stream(matrix)
        sample, kind, doublet, per_cell = [], [], [], []
        for block in blocks(plan):
            stream.append(block.data, block.indices)
            sample.append(np.full(len(block.kinds), block.sample))
            kind.append(block.kinds)
            doublet.append(block.doublet)
            per_cell.append(block.per_cell)
        stream.close()
        ends = np.concatenate([[0], np.cumsum(np.concatenate(per_cell))])
        width = np.int32 if ends[-1] <= np.iinfo(np.int32).max else np.int64
        write_elem(matrix, "indptr", ends.astype(width), dataset_kwargs={"compression": "gzip"})
        matrix.attrs["encoding-type"] = "csr_matrix"
        matrix.attrs["encoding-version"] = "0.1.0"
        matrix.attrs["shape"] = np.array([len(ends) - 1, len(plan.genes.symbols)])
        obs = _obs(plan, *(np.concatenate(part) for part in (sample, kind, doublet)))
        write_elem(file, "obs", obs, dataset_kwargs={"compression": "gzip"})
        write_elem(file, "var", _var(plan), dataset_kwargs={"compression": "gzip"})
        write_elem(file, "uns", _uns(world))
        for empty in ("layers", "obsm", "obsp", "varm", "varp"):
            write_elem(file, empty, {})


def _obs(
    plan: Design,
    sample: NDArray[np.int64],
    kind: NDArray[np.int64],
    doublet: NDArray[np.bool_],
) -> pd.DataFrame:
    """Return the cell table; a block keeps numbers only, names are made here once."""
    samples = plan.samples
    disease = [_DISEASE if s.patient else _NORMAL for s in samples]

    def by(numbers: NDArray[np.int64], names: list[str]) -> pd.Categorical[str]:
        known = sorted({names[n] for n in np.unique(numbers)})
        codes = np.array([known.index(name) if name in known else -1 for name in names])
        return pd.Categorical.from_codes(codes[numbers], pd.Index(known))

    def same(value: str) -> pd.Categorical[str]:
        return pd.Categorical.from_codes(np.zeros(len(sample), dtype=np.int8), pd.Index([value]))

    count = np.arange(len(sample)) - np.searchsorted(sample, np.arange(len(samples)))[sample]
    barcodes = [
        f"SIMULATED_{samples[s].name}_{n + 1:06d}" for s, n in zip(sample, count, strict=True)
    ]
    columns: dict[str, object] = {
        "donor_id": by(sample, [s.donor for s in samples]),
        "sample_id": by(sample, [s.name for s in samples]),
        "cell_type_ontology_term_id": by(kind, list(plan.kinds["cell_type_id"])),
        "cell_type": by(kind, list(plan.kinds["cell_type"])),
        "tissue_ontology_term_id": by(kind, list(plan.kinds["tissue_id"])),
        "tissue": by(kind, list(plan.kinds["tissue"])),
        "tissue_type": same("tissue"),
        "assay": same("simulated droplet"),
        "suspension_type": same("cell"),
        "disease_ontology_term_id": by(sample, [d[0] for d in disease]),
        "disease": by(sample, [d[1] for d in disease]),
        "is_primary_data": np.ones(len(sample), dtype=bool),
        "development_stage": same("adult stage"),
        "malignancy": by(kind, list(plan.kinds["malignancy"])),
        "simulated_doublet": doublet,
    }
    return pd.DataFrame(columns, index=pd.Index(barcodes, name="barcode"))


def _var(plan: Design) -> pd.DataFrame:
    index = pd.Index(plan.genes.ids, name="ensembl_gene_id")
    return pd.DataFrame({"feature_name": plan.genes.symbols}, index=index)


def _uns(world: World) -> dict[str, object]:
    parameters = json.dumps(world.model_dump(), sort_keys=True)
    return {"title": TITLE, "simulated": True, "simulation": parameters}
