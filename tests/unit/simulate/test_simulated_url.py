"""A simulated world is named by a URL, means one file, and needs little memory."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

from targetscore.errors import ConfigError
from targetscore.simulate import World, parse_url, write_world
from targetscore.simulate.__main__ import main
from targetscore.simulate.design import CELLS, design
from targetscore.simulate.draw import draw, profile
from targetscore.simulate.write import BLOCK, Stream, blocks

SMALL = World(seed=7, cells=3000, genes=700)


def test_same_world_same_bytes(tmp_path: Path) -> None:
    digests = {}
    for name, world in {
        "first": SMALL,
        "again": SMALL,
        "other seed": World(seed=8, cells=3000, genes=700),
    }.items():
        write_world(world, tmp_path / name)
        digests[name] = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert digests["first"] == digests["again"]
    assert digests["first"] != digests["other seed"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "first", "other seed"]


def test_a_block_is_the_same_drawn_alone_or_in_any_order() -> None:
    world = World(seed=7, patients=2, healthy_donors=1, cells=2500, compartments=("marrow",))
    plan = design(world)
    drawn = list(blocks(plan))
    assert max(len(b.kinds) for b in drawn) == BLOCK
    assert sum(len(b.kinds) for b in drawn) == sum(int(s.n_cells.sum()) for s in plan.samples)
    assert len({b.indices.tobytes() for b in drawn}) == len(drawn)
    for number in reversed(range(len(plan.samples))):
        sample = plan.samples[number]
        rates = profile(plan, sample)
        of_sample = [b for b in drawn if b.sample == number]
        for k in reversed(range(len(of_sample))):
            here = np.searchsorted(sample.kinds, of_sample[k].kinds)
            _, indices, data, _ = draw(plan, rates, here, sample.stream(world, CELLS, k))
            assert np.array_equal(indices, of_sample[k].indices)
            assert np.array_equal(data, of_sample[k].data)


@pytest.mark.parametrize("pieces", [1, 7, 30_000, 40_000, 95_001])
def test_bytes_do_not_depend_on_the_pieces_written(pieces: int, tmp_path: Path) -> None:
    entries = np.arange(100_003 if pieces > 1 else 1000)
    digests = []
    for size in (len(entries), pieces):
        path = tmp_path / f"{size}.h5"
        with h5py.File(path, "w") as file:
            stream = Stream(file)
            for first in range(0, len(entries), size):
                part = entries[first : first + size]
                stream.append(part.astype(np.float32), part.astype(np.int32))
            stream.close()
            assert np.array_equal(file["indices"][:], entries)
            assert np.array_equal(file["data"][:], entries.astype(np.float32))
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_leaving_out_tissue_or_donors_changes_no_other_cell() -> None:
    whole = design(World(seed=7, genes=700, patients=2, healthy_donors=2))
    small = design(World(seed=7, genes=700, patients=1, healthy_donors=1, compartments=("marrow",)))
    names = ["SIM-MM01_bone_marrow", "SIM-HD01_bone_marrow"]
    assert [s.name for s in small.samples] == names
    same = replace(whole, samples=[s for s in whole.samples if s.name in names])
    for one, other in zip(blocks(small), blocks(same), strict=True):
        assert np.array_equal(one.kinds, other.kinds)
        assert np.array_equal(one.indices, other.indices)
        assert np.array_equal(one.data, other.data)


@pytest.mark.parametrize("cells", [500, 3000, 50_000])
def test_cells_scale(cells: int) -> None:
    plan = design(World(cells=cells))
    assert sum(int(s.n_cells.sum()) for s in plan.samples) == pytest.approx(cells, rel=0.05)


def test_memory_does_not_grow_with_cells(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from targetscore.simulate import World, write_world\n"
        "for cells in (6000, 60000):\n"
        "    write_world(World(cells=cells, genes=500), sys.argv[1])\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "w.h5ad")],
        capture_output=True,
        text=True,
        check=True,
    )
    small, large = (int(line) / 1024 for line in run.stdout.split())
    with h5py.File(tmp_path / "w.h5ad") as file:
        entries = file["X/data"].shape[0] * 8 / 2**20
    assert entries > 100  # MB, what the matrix would take in memory
    assert large - small < entries / 3


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("simulate:myeloma", World()),
        ("simulate:myeloma?seed=3&cells=200000", World(seed=3, cells=200_000)),
        (
            "simulate:myeloma?compartments=solid,marrow&ambient=0.1&doublets=0",
            World(compartments=("marrow", "solid"), ambient=0.1, doublets=0),
        ),
    ],
)
def test_urls(url: str, expected: World) -> None:
    assert parse_url(url, "config/atlases.tsv", "line 2") == expected


@pytest.mark.parametrize(
    ("url", "place", "hint"),
    [
        ("simulate:myelom", "line 2", "myeloma"),
        ("http://example.org/x.h5ad", "line 2", "simulate:<world>"),
        ("simulate:myeloma?sed=3", "line 2, sed", "'seed'"),
        ("simulate:myeloma?seed=3&seed=4", "line 2, seed", "repeats"),
        ("simulate:myeloma?seed", "line 2", "key=value"),
        ("simulate:myeloma?seed=-1", "line 2, seed", "greater than or equal to 0"),
        ("simulate:myeloma?cells=many", "line 2, cells", "valid integer"),
        ("simulate:myeloma?cells=", "line 2, cells", "valid integer"),
        ("simulate:myeloma?patients=0", "line 2, patients", "greater than or equal to 1"),
        ("simulate:myeloma?genes=20", "line 2, genes", "greater than or equal to 500"),
        ("simulate:myeloma?dispersion=0", "line 2, dispersion", "greater than 0"),
        ("simulate:myeloma?dispersion=nan", "line 2, dispersion", "got 'nan'"),
        ("simulate:myeloma?doublets=1.5", "line 2, doublets", "less than or equal to 1"),
        ("simulate:myeloma?compartments=solid", "line 2, compartments", "'marrow' must be"),
        ("simulate:myeloma?compartments=marrow,sking", "line 2, compartments.1", "'skin'"),
        ("simulate:myeloma?donor_effect=inf", "line 2, donor_effect", "finite number"),
    ],
)
def test_bad_urls_say_where_and_what_to_do(url: str, place: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url, "config/atlases.tsv", "line 2")
    assert [p.place for p in caught.value.problems] == [place]
    assert caught.value.problems[0].file == "config/atlases.tsv"
    assert hint in str(caught.value)


def test_all_problems_of_a_url_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url("simulate:myeloma?seed=x&genes=1&ambiet=0", "f", "p")
    assert sorted(p.place for p in caught.value.problems) == ["p, ambiet", "p, genes", "p, seed"]


def test_command_line(tmp_path: Path) -> None:
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "targetscore.simulate",
            "simulate:myeloma?cells=500&genes=500",
            str(tmp_path / "out.h5ad"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "SIMULATED" in made.stdout
    assert anndata.read_h5ad(tmp_path / "out.h5ad").n_vars == 500


def test_command_line_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate:myeloma?sed=1", str(tmp_path / "none.h5ad")]) == 1
    assert "did you mean 'seed'" in capsys.readouterr().err
    (tmp_path / "file").write_text("in the way")
    assert main(["simulate:myeloma", str(tmp_path / "file" / "none.h5ad")]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
