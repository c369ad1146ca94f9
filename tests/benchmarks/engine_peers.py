"""The ways a user of scanpy would go, as contestants: in memory, backed, and lazy with dask.

Each finds, per group and gene, in how many cells the gene was detected and the sum of
ln(1 + counts per 10,000). Sums of raw counts are not part of scanpy's recipe; they are made
for the comparison only, in runs that are not timed.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from engine_job import Facts, Job, contest
from numpy.typing import NDArray

_ROWS = 5000
_AT_ONCE = 100

Parts = tuple[sp.csr_matrix, sp.csr_matrix, sp.csr_matrix]


def scanpy(job: Job) -> Facts:
    """read_h5ad, normalize_total, log1p, get.aggregate."""
    import scanpy as sc

    atlas = sc.read_h5ad(job.matrix)
    codes = np.load(job.groups)
    names = [f"{group:06d}" for group in range(int(codes.max()) + 1)]
    atlas.obs["group"] = pd.Categorical.from_codes(codes, pd.Index(names))
    counts = sc.get.aggregate(atlas, "group", "sum").layers["sum"] if job.check else None
    sc.pp.normalize_total(atlas, target_sum=1e4)
    sc.pp.log1p(atlas)
    found = sc.get.aggregate(atlas, "group", ["sum", "mean", "count_nonzero"])
    return _result(job, found.layers["count_nonzero"], found.layers["sum"], counts)


def backed(job: Job) -> Facts:
    """Open with ``backed="r"`` and multiply 5,000 rows at a time with their groups."""
    atlas = ad.read_h5ad(job.matrix, backed="r")
    codes = np.load(job.groups)
    n_groups = int(codes.max()) + 1
    sums = [np.zeros((n_groups, atlas.shape[1])) for _ in range(3)]
    for start in range(0, len(codes), _ROWS):
        here, own = np.unique(codes[start : start + _ROWS], return_inverse=True)
        block = atlas.X[start : start + _ROWS]
        for total, part in zip(sums, _parts(block, own, len(here)), strict=True):
            total[here] += part.toarray()
    return _result(job, *sums)


def lazy(job: Job) -> Facts:
    """read_elem_lazy and dask: chunks of 5,000 rows, each multiplied with its groups.

    scanpy 1.11 has no aggregate for dask arrays, hence the indicator matrix; the sums stay
    sparse and are added up two by two.
    """
    if find_spec("dask") is None:
        return {"missing": "dask"}
    dask = import_module("dask")  # not among the locked packages
    from anndata.experimental import read_elem_lazy

    codes = np.load(job.groups)
    n_groups = int(codes.max()) + 1
    with h5py.File(job.matrix, "r") as file:
        shape = file["X"].attrs["shape"]
        matrix = read_elem_lazy(file["X"], chunks=(_ROWS, int(shape[1])))
        waiting = [
            dask.delayed(_parts)(block, codes[k * _ROWS : (k + 1) * _ROWS], n_groups)
            for k, block in enumerate(matrix.to_delayed().ravel())
        ]
        while len(waiting) > 1:
            pairs = zip(waiting[::2], [*waiting[1::2], None], strict=False)
            waiting = [a if b is None else dask.delayed(_added)(a, b) for a, b in pairs]
        detected, log, counts = waiting[0].compute(scheduler="threads", num_workers=job.threads)
    return _result(job, detected, log, counts) | {"dask": dask.__version__}


def _parts(block: sp.csr_matrix, groups: NDArray[np.int64], n_groups: int) -> Parts:
    """Return detections, sums of logarithms and sums of counts of some rows, by group."""
    n = block.shape[0]
    indicator = sp.csr_matrix((np.ones(n), (groups, np.arange(n))), shape=(n_groups, n))
    library = np.maximum(np.asarray(block.sum(axis=1)).ravel(), 1)
    log = sp.diags(1e4 / library) @ block
    np.log1p(log.data, out=log.data)
    return indicator @ (block != 0), indicator @ log, indicator @ block


def _added(a: Parts, b: Parts) -> Parts:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _result(job: Job, detected: Any, log: Any, counts: Any) -> Facts:
    weight = np.arange(1, detected.shape[0] + 1)
    if job.check:
        _write(job, detected, log, counts)
    return {
        "detected": int(weight @ np.asarray(detected.sum(axis=1)).ravel().astype(np.int64)),
        "log": float(weight @ np.asarray(log.sum(axis=1)).ravel()),
    }


def _write(job: Job, *layers: Any) -> None:
    """Write the non-zero entries in order of groups and columns of the matrix."""
    Path(job.out).mkdir(parents=True, exist_ok=True)
    fields = [("group_id", "int32"), ("column", "int32"), ("n_detected", "int64")]
    schema = pa.schema([*fields, ("sum_log1p_cp10k", "float64"), ("sum_counts", "int64")])
    with pq.ParquetWriter(Path(job.out) / "result.parquet", schema) as writer:
        for first in range(0, layers[0].shape[0], _AT_ONCE):
            some = [layer[first : first + _AT_ONCE] for layer in layers]
            detected, log, counts = (s.toarray() if sp.issparse(s) else np.asarray(s) for s in some)
            group, column = np.nonzero(detected)
            values = [x[group, column] for x in (detected, log, counts)]
            types = [field.type.to_pandas_dtype() for field in schema]
            arrays = [
                pa.array(v.astype(t))
                for v, t in zip([group + first, column, *values], types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


if __name__ == "__main__":
    contest({w.__name__: w for w in (scanpy, backed, lazy)})
