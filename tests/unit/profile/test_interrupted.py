"""Killed in the middle, or without room: nothing half-written, and the same bytes afterwards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np, pyarrow.parquet as pq, resource, scipy.sparse as sp
sys.path.insert(0, sys.argv[1])
import conftest as kit
from targetscore.errors import StorageError
from targetscore.profile import merging, packing, sums

folder, point, limit = Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
rng = np.random.default_rng(0)
counts = rng.negative_binomial(0.5, 0.01, (3000, 40))
cells, genes = kit.cell_table(3000, rng), kit.gene_table([f"G{i:02d}" for i in range(40)])
merging._OUT_ROWS, sums._TASK = 50, 1

def kill_at(owner, name, n):
    plain, calls = getattr(owner, name), []
    def counted(*args, **kwargs):
        calls.append(1)
        if len(calls) == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*args, **kwargs)
    setattr(owner, name, counted)

if point == "pack":
    kill_at(packing._Packer, "note", 20)
elif point == "end of pack":
    kill_at(packing, "write_end", 1)
elif point == "sum":
    kill_at(sums, "_sum", 3)
elif point == "write":
    kill_at(pq.ParquetWriter, "write_table", 3)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    kit.file_bytes(cells, genes, kit.memory_atlas(counts, 50), folder, n_shards=2, threads=2)
except StorageError as error:
    print(error)
    sys.exit(3)
"""


def child(folder: Path, point: str = "", limit: int = 0, **how) -> subprocess.CompletedProcess[str]:
    arguments = [str(Path(__file__).parent), str(folder), point, str(limit)]
    command = [*how.pop("before", []), sys.executable, "-c", CHILD, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **how)


def results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name[0] != "."}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run = child(folder)
    assert run.returncode == 0, run.stderr
    return results(folder)


@pytest.mark.parametrize(
    ("point", "finished"),
    [
        ("pack", set()),
        ("end of pack", set()),
        ("sum", {"1.pack", "2.pack", "groups.parquet"}),
        ("write", {"1.pack", "2.pack", "groups.parquet"}),
    ],
)
def test_killed_and_run_again(undisturbed, point, finished, tmp_path):
    assert child(tmp_path, point).returncode == -signal.SIGKILL
    assert set(results(tmp_path)) == finished
    run = child(tmp_path)
    assert run.returncode == 0, run.stderr
    assert results(tmp_path) == undisturbed
    assert len(list(tmp_path.iterdir())) == len(undisturbed)


def largest(undisturbed: dict[str, bytes], name: str) -> int:
    return len(undisturbed[name])


@pytest.mark.parametrize("name", ["1.pack", "expression.parquet"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_may_not_grow(undisturbed, name, share, tmp_path):
    """A quota or a limit on file size is told like a full disk."""
    sizes = {n: len(b) for n, b in undisturbed.items()}
    limit = max(1, int(sizes[name] * share))
    if name != "1.pack":
        run = child(tmp_path)  # packs and groups are there; only the last file meets the limit
        (tmp_path / name).unlink()
    run = child(tmp_path, limit=limit)
    assert run.returncode == 3, run.stderr
    assert "cannot be written" in run.stdout
    assert "→ make room there" in run.stdout
    assert "ulimit -f" in run.stdout
    assert all(p.name in undisturbed for p in tmp_path.iterdir())
    assert name not in results(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system of one's own")
def test_a_full_disk(undisturbed, tmp_path):
    """A real file system without room: a clear error, and nothing but whole files on it."""
    listing = 'mount -t tmpfs -o size=300k tmpfs "$0" && "$@"; code=$?; ls -A "$0"; exit $code'
    run = child(tmp_path, before=["unshare", "-m", "sh", "-c", listing, str(tmp_path)])
    if "Operation not permitted" in run.stderr or "permission denied" in run.stderr:
        pytest.skip(f"a file system cannot be mounted here: {run.stderr.strip()}")
    assert run.returncode == 3, run.stderr
    assert "→ make room there" in run.stdout
    left = run.stdout.splitlines()[-3:]
    assert not [line for line in left if line.startswith(".")]
