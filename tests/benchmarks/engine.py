"""The engine beside its peers: ``python tests/benchmarks/engine.py`` (or ``make bench``).

Prepares an atlas, runs every contestant as a process of its own, alternating, holds their
results against each other, and writes README.md and engine.svg beside this file. Nothing else
should run meanwhile; it takes about half an hour on two cores. Linux only.

A first round is not timed: it compiles, fills the disk cache, and in it every contestant
writes its whole result, which is compared entry by entry. In the timed rounds each result is
compared by a weighted sum of all groups, or as a file byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from engine_job import Job
from engine_measure import HERE, Run, cores, machine, run_way

OURS, PEERS = "engine_ours.py", "engine_peers.py"
WRITTEN = ("all.pack", "groups.parquet", "expression.parquet")
OWN = {"pack": WRITTEN[:1], "merge": WRITTEN[1:], "whole": WRITTEN, "sums": WRITTEN}
CURVE = {"quarter": 0.25, "half": 0.5, "base": 1.0, "large": 5.0}
BYTES_PER_CELL = 125_000
LOG_TOLERANCE = 1e-6
FEWEST_CELLS = 2000  # four times what the simulator makes at least


class Bench:
    """Runs contestants and keeps what was measured in ``measured.json`` of its folder."""

    def __init__(self, folder: Path, runs: int, dask: Path | None) -> None:
        self.folder, self.runs, self._dask = folder, runs, dask
        self.rows: list[dict[str, object]] = []
        self.checks: dict[str, dict[str, object]] = {}
        self._first: dict[tuple[str, str, str], Run] = {}

    def out(self, part: str, way: str, atlas: str = "base") -> Path:
        """Return the folder a way writes to; those that pack and those that merge share one."""
        way = "two" if way in ("pack", "merge", "again", "encodings") else way
        return self.folder / "out" / f"{part}_{atlas}_{way}"

    def run(
        self, part: str, script: str, way: str, turn: int, *, atlas: str = "base", groups: int = 500
    ) -> Run | None:
        """Run a way once; turn 0 is not timed. None if it could not end in turn 0."""
        first = self._first.get((part, way, atlas))
        if first is not None and not first.finished:
            return None
        path = self.folder / f"{atlas}.h5ad"
        job = Job(
            matrix=str(path),
            cells=str(path.with_suffix(f".{groups}.parquet")),
            genes=str(path.with_suffix(".genes.parquet")),
            groups=str(path.with_suffix(f".{groups}.npy")),
            out=str(self.out(part, way, atlas)),
            threads=cores(),
            check=turn == 0,
        )
        for name in OWN.get(way, ()):  # Snakemake also removes what a job writes anew
            (self.out(part, way, atlas) / name).unlink(missing_ok=True)
        run = run_way(script, way, job, self._dask if way == "lazy" else None)
        if turn == 0:
            self._first[part, way, atlas] = run
        kept = {"part": part, "way": way, "atlas": atlas, "groups": groups, "turn": turn}
        self.rows.append(kept | asdict(run))
        state = f"{run.wall:7.1f} s {run.cpu:7.1f} s cpu {run.peak / 1e6:8.0f} MB"
        print(f"{part:8} {turn} {way:10} {atlas:8} {state} {run.others:.2f} others", flush=True)
        self._hold(part, way, atlas, run)
        return run

    def _hold(self, part: str, way: str, atlas: str, run: Run) -> None:
        """Compare the weighted sums of a timed run with those of the first run of the part."""
        keys = [k for k in self._first if k[0] == part and k[2] == atlas]
        facts = [self._first[k].facts for k in keys if "detected" in self._first[k].facts]
        if not facts or "detected" not in run.facts:
            return
        if run.facts["detected"] != facts[0]["detected"]:
            raise SystemExit(f"{part} {way}: detections differ between contestants")
        if not math.isclose(float(run.facts["log"]), float(facts[0]["log"]), rel_tol=LOG_TOLERANCE):
            raise SystemExit(f"{part} {way}: sums of logarithms differ between contestants")

    def check(self, name: str, *words: object) -> None:
        """Compare two results; ends the benchmark if they differ."""
        command = [sys.executable, str(HERE / "engine_check.py"), *map(str, words)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the results differ: {name}")
        self.checks[name] = json.loads(done.stdout)
        print(f"         equal: {name} {self.checks[name]}", flush=True)

    def same_bytes(self, name: str, *paths: Path) -> None:
        """Compare files; ends the benchmark if they differ."""
        digests = {_digest(path) for path in paths}
        if len(digests) > 1:
            raise SystemExit(f"the files differ: {name}")
        self.checks[name] = {"sha256": digests.pop()}
        print(f"         equal bytes: {name}", flush=True)

    def drop(self, part: str, way: str, atlas: str = "base") -> None:
        """Remove what a way wrote."""
        shutil.rmtree(self.out(part, way, atlas), ignore_errors=True)

    def keep_all_but(self, part: str) -> None:
        """Take over what ``measured.json`` holds of the other parts."""
        before = json.loads((self.folder / "measured.json").read_text(encoding="utf-8"))
        self.rows = [row for row in before["rows"] if row["part"] != part]
        self.checks = before["checks"]

    def save(self, about: dict[str, object]) -> Path:
        """Write what was measured so far."""
        path = self.folder / "measured.json"
        text = json.dumps(about | {"rows": self.rows, "checks": self.checks}, indent=1)
        path.write_text(text, encoding="utf-8")
        return path


def coarse_groups(bench: Bench) -> None:
    """500 groups: statistics only, beside every peer."""
    genes = bench.folder / "base.genes.parquet"
    peers = ("scanpy", "backed", "lazy")
    for turn in range(bench.runs + 1):
        bench.run("coarse", PEERS, "scanpy", turn)
        bench.run("coarse", OURS, "sums", turn)
        bench.run("coarse", PEERS, "backed", turn)
        bench.run("coarse", PEERS, "lazy", turn)
        if turn == 0:
            own = bench.out("coarse", "sums") / "expression.parquet"
            for peer in peers:
                result = bench.out("coarse", peer) / "result.parquet"
                if result.exists():
                    bench.check(f"500 groups, {peer}", "peer", own, result, genes)
                    bench.drop("coarse", peer)
    bench.drop("coarse", "sums")


def fine_groups(bench: Bench) -> None:
    """6,000 groups: pack, sum and write Parquet; the peers write nothing."""
    genes, files = bench.folder / "base.genes.parquet", ("groups.parquet", "expression.parquet")
    first = bench.folder / "out" / "first"
    for turn in range(bench.runs + 1):
        for script, way in (
            (PEERS, "scanpy"),
            (OURS, "whole"),
            (OURS, "pack"),
            (OURS, "merge"),
            (PEERS, "lazy"),
        ):
            bench.run("fine", script, way, turn, groups=6000)
        whole, two = bench.out("fine", "whole"), bench.out("fine", "merge")
        if turn == 0:
            shutil.copytree(whole, first, ignore=shutil.ignore_patterns("*.pack"))
            for peer in ("scanpy", "lazy"):
                result = bench.out("fine", peer) / "result.parquet"
                if result.exists():
                    bench.check(f"6,000 groups, {peer}", "peer", whole / files[1], result, genes)
                    bench.drop("fine", peer)
        for name in files:
            same = (first / name, whole / name, two / name)
            bench.same_bytes(f"{name}, one and two processes, every round", *same)
    shutil.rmtree(first)
    bench.drop("fine", "whole")
    later(bench)


def floor_and_order(bench: Bench) -> None:
    """The pack beside inflating alone, and from rows in random order."""
    for turn in range(bench.runs + 1):
        bench.run("floor", OURS, "inflate", turn)
        for atlas in ("base", "shuffled"):
            bench.run("floor", OURS, "pack", turn, atlas=atlas, groups=6000)
    folders = []
    for atlas in ("base", "shuffled"):
        bench.run("floor", OURS, "merge", 0, atlas=atlas, groups=6000)
        folders.append(bench.out("floor", "merge", atlas))
    for name in ("groups.parquet", "expression.parquet"):
        bench.same_bytes(f"{name}, rows shuffled", *(folder / name for folder in folders))
    for folder in folders:
        shutil.rmtree(folder)


def curve(bench: Bench) -> None:
    """Time and memory against cells."""
    for turn in range(bench.runs + 1):
        for atlas, share in CURVE.items():
            bench.run("curve", OURS, "pack", turn, atlas=atlas, groups=6000)
            bench.run("curve", OURS, "merge", turn, atlas=atlas, groups=6000)
            if atlas == "large" and turn == 0:
                results = [bench.out("curve", "merge", name) for name in ("base", "large")]
                bench.check("the large atlas, group by group", "copies", *results)
            if atlas != "base":
                bench.drop("curve", "merge", atlas)
                bench.run("curve", OURS, "sums", turn, atlas=atlas)
                bench.drop("curve", "sums", atlas)
            if share < 1:
                bench.run("curve", PEERS, "scanpy", turn, atlas=atlas)
                bench.drop("curve", "scanpy", atlas)
        bench.drop("curve", "merge")


def later(bench: Bench) -> None:
    """What a second indication reads, with the matrix out of the way; and encodings."""
    matrix = bench.folder / "base.h5ad"
    away = matrix.with_suffix(".away")
    matrix.rename(away)
    try:
        for turn in range(bench.runs + 1):
            bench.run("fine", OURS, "again", turn, groups=6000)
    finally:
        away.rename(matrix)
    bench.run("fine", OURS, "encodings", 1, groups=6000)
    bench.drop("fine", "merge")


PARTS = {
    "coarse": coarse_groups,
    "fine": fine_groups,
    "floor": floor_and_order,
    "curve": curve,
}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _need_room(folder: Path, cells: int) -> None:
    there = sum(path.stat().st_size for path in folder.glob("*.h5ad"))
    need = cells * BYTES_PER_CELL - there
    free = shutil.disk_usage(folder).free
    if free < need:
        raise SystemExit(
            f"{folder}: about {need / 1e9:.0f} GB are needed, {free / 1e9:.1f} GB are free; "
            "name another folder with --folder, or fewer cells with --cells"
        )


def _measure(folder: Path, given: argparse.Namespace) -> None:
    cells = given.cells
    folder = folder / f"cells_{cells}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "out", ignore_errors=True)
    if (away := folder / "base.away").exists():
        away.rename(folder / "base.h5ad")
    _need_room(folder, cells)
    print("preparing files", flush=True)
    prepare = [sys.executable, str(HERE / "engine_files.py"), str(folder), str(cells)]
    files = json.loads(subprocess.run(prepare, check=True, stdout=subprocess.PIPE).stdout)
    bench = Bench(folder, given.runs, given.dask)
    about = {"cells": cells, "runs": given.runs, "date": given.date}
    about |= {"machine": machine(), "files": files}
    if given.only:
        bench.keep_all_but(given.only)
    for name, part in PARTS.items():
        if given.only in (None, name):
            part(bench)
            measured = bench.save(about)
    report = [sys.executable, str(HERE / "engine_report.py"), str(measured), str(given.output)]
    subprocess.run(report, check=True)


def _commit_date() -> str:
    words = ["git", "-C", str(HERE), "log", "-1", "--format=%cs"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="for files, used again if there; or temporary")
    parser.add_argument("--cells", type=int, default=200_000, help="cells of the base atlas")
    parser.add_argument("--runs", type=int, default=3, help="timed rounds")
    parser.add_argument("--only", choices=PARTS, help="measure one part anew, keep the others")
    parser.add_argument("--date", default=_commit_date(), help="by default of the last commit")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of README.md")
    parser.add_argument("--dask", type=Path, help="folder of 'pip install --target FOLDER dask'")
    given = parser.parse_args()
    if given.cells < FEWEST_CELLS or given.runs < 1:
        parser.error(f"at least {FEWEST_CELLS:,} cells and one timed round are needed")
    if given.folder:
        _measure(given.folder, given)
    else:
        with tempfile.TemporaryDirectory(prefix="targetscore_bench_") as temporary:
            _measure(Path(temporary), given)


if __name__ == "__main__":
    main()
