"""The engine itself as a contestant: the functions the workflow calls, on files it reads.

Each way imports what the script of its rule imports, when it is called.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from engine_job import Facts, Job, contest

from targetscore.config import AtlasRow
from targetscore.contracts import CELLS, EXPRESSION, GENES, GROUPS
from targetscore.io import read_pieces, read_table, write_table, write_tables
from targetscore.profile.groups import CELL_COLUMNS, GENE_COLUMNS
from targetscore.profile.merging import Profile, profile_packs
from targetscore.progress import Progress

ROW = AtlasRow(
    atlas="benchmark", kind="simulated", format="h5ad", version="1", url="x", licence="none"
)
_SOME_ROWS = 2_000_000
_WEIGHTED = ("group_id", "n_detected", "sum_log1p_cp10k")


class _Stopwatch(Progress):
    """Progress of one piece of work, which also tells how long it took."""

    seconds = 0.0

    def conclude(self) -> None:
        self.seconds = self._clock() - self._begun
        super().conclude()


def pack(job: Job) -> Facts:
    """Read the matrix once and pack it, as the rule profile_shard does."""
    from targetscore.formats import open_atlas
    from targetscore.profile.packing import pack_rows

    begin = time.monotonic()
    path, main_loop = _pack(job), _Stopwatch()
    path.parent.mkdir(parents=True, exist_ok=True)
    pack_rows(
        open_atlas(ROW, job.matrix),
        read_pieces(job.cells, CELLS, CELL_COLUMNS),
        read_table(job.genes, GENES, GENE_COLUMNS),
        path,
        threads=job.threads,
        progress=main_loop,
    )
    took = time.monotonic() - begin
    return {"inner": took, "loop": main_loop.seconds, "pack_bytes": path.stat().st_size}


def merge(job: Job) -> Facts:
    """Add up a pack and write the profile, as the rule merge_profile does."""
    profile = _profile(job)
    groups, expression = (Path(job.out) / f"{n}.parquet" for n in ("groups", "expression"))
    write_table(profile.groups, groups, GROUPS, {})
    write_tables(profile.expression, expression, EXPRESSION, {})
    rows = pq.read_metadata(expression).num_rows
    written = groups.stat().st_size + expression.stat().st_size
    return {"n_groups": len(profile.groups), "rows": rows, "bytes": written}


def whole(job: Job) -> Facts:
    """Pack, add up and write, in one process."""
    return pack(job) | merge(job)


def sums(job: Job) -> Facts:
    """Pack and add up in one process; nothing is written of the result."""
    if job.check:
        return whole(job)
    packed = pack(job)
    detected, log = 0, 0.0
    for table in _profile(job).expression:
        for batch in table.to_batches():
            group, n, total = (batch[name].to_numpy() for name in _WEIGHTED)
            weight = group + np.int64(1)
            detected += int((n * weight).sum())
            log += float((total * weight).sum())  # not @, whose threads keep a core busy
    return packed | {"detected": detected, "log": log}


def inflate(job: Job) -> Facts:
    """Inflate every chunk of the matrix on all cores with the same library, nothing else."""
    import h5py

    from targetscore.formats.filters import zlib

    with h5py.File(job.matrix, "r") as file:
        tasks = [task for name in ("indices", "data") for task in _chunks(file["X"][name])]
    descriptor = os.open(job.matrix, os.O_RDONLY)

    def work(task: tuple[int, int, int]) -> int:
        address, size, n_bytes = task
        return len(zlib.decompress(os.pread(descriptor, size, address), bufsize=n_bytes))

    begin = time.monotonic()
    with ThreadPoolExecutor(job.threads) as pool:
        n_bytes = sum(pool.map(lambda some: sum(map(work, some)), _portions(tasks)))
    return {"inner": time.monotonic() - begin, "inflated_bytes": n_bytes, "library": zlib.__name__}


def again(job: Job) -> Facts:
    """Read what the score of a further indication needs of an atlas profiled before."""
    from targetscore.score.load import AtlasProfile, read_profiles, read_symbols

    out, before = Path(job.out), _bytes_read()
    files = [str(out / f"{n}.parquet") for n in ("groups", "expression")]
    profiles = [AtlasProfile("benchmark", files[0], files[1], job.genes, simulated=True)]
    ids, measured = read_symbols(profiles)
    wanted = [ids[symbol] for symbol in ("TNFRSF17", "GPRC5D", "CD38", "SDC1")]
    found = read_profiles(profiles, measured, wanted)
    read = _bytes_read() - before
    gone = not Path(job.matrix).exists()
    return {"rows": len(found.expression), "bytes_read": read, "matrix_gone": gone}


def encodings(job: Job) -> Facts:
    """Write the same rows with default dictionaries and as the product does; per row."""
    with pq.ParquetFile(Path(job.out) / "expression.parquet") as file:
        schema, tables, n = EXPRESSION.schema(), [], 0
        for number in range(file.num_row_groups):
            if n < _SOME_ROWS:
                tables.append(file.read_row_group(number).replace_schema_metadata().cast(schema))
                n += len(tables[-1])
    target = Path(job.out) / "encoding.parquet"

    def default() -> None:
        with pq.ParquetWriter(target, schema, compression="zstd", compression_level=3) as writer:
            for table in tables:
                writer.write_table(table)

    facts: Facts = {"rows": n}
    ways: dict[str, Callable[[], None]] = {
        "default": default,
        "own": lambda: write_tables(tables, target, EXPRESSION, {}),
    }
    for name, write in ways.items():
        facts[f"{name}_ns"] = min(_cpu_seconds(write) for _ in range(3)) / n * 1e9
        facts[f"{name}_bytes"] = target.stat().st_size / n
        target.unlink()
    return facts


def _pack(job: Job) -> Path:
    return Path(job.out) / "all.pack"


def _profile(job: Job) -> Profile:
    cells = read_pieces(job.cells, CELLS, CELL_COLUMNS)
    genes = read_table(job.genes, GENES, GENE_COLUMNS)
    return profile_packs("benchmark", cells, genes, [_pack(job)], job.threads)


def _chunks(dataset: Any) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    n_bytes = dataset.chunks[0] * dataset.dtype.itemsize
    dataset.id.chunk_iter(lambda c: found.append((c.byte_offset, c.size, n_bytes)))
    return found


def _portions(
    tasks: list[tuple[int, int, int]], n: int = 50
) -> Iterable[list[tuple[int, int, int]]]:
    return [tasks[a : a + n] for a in range(0, len(tasks), n)]


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


def _cpu_seconds(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    contest({w.__name__: w for w in (pack, merge, whole, sums, inflate, again, encodings)})
