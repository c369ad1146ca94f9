"""README's "Add a tumour type", walked through as it is written, with real files."""

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml

pytestmark = [pytest.mark.workflow, pytest.mark.realdata]
LONGEST = 600  # seconds of one command; one that asks more than is answered would wait for ever
QUICK = {"scoring": {"bootstrap": 0}, "ingest": {"doublets": False}}


def section(repository: Path) -> str:
    text = (repository / "README.md").read_text(encoding="utf-8")
    return text.split("\n## Add a tumour type\n")[1].split("\n## ")[0]


def steps(text: str) -> list[tuple[list[str], list[str]]]:
    """Every command of the section with the lines it prints; ``…`` stands for any lines."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed, _, printed = re.fullmatch(
                r"((?:[^\n]*\\\n)*[^\n]*)(\n|$)(.*)", part, re.DOTALL
            ).groups()
            found.append((shlex.split(typed.replace("\\\n", " ")), printed.splitlines()))
    return found


def is_printed(expected: list[str], output: str) -> bool:
    pattern = "".join(r"(?:.*\n)*" if e == "…" else re.escape(e) + "\n" for e in expected)
    return re.fullmatch(pattern, output) is not None


@pytest.fixture
def mine(project: Path, realdata: Path) -> Path:
    """The user's two files in their project."""
    (project / "data").mkdir()
    (project / "data/sorted_pbmc.h5ad").symlink_to(realdata / "sorted_pbmc.h5ad")
    table = realdata / "myeloma_clone" / "counts.tsv.gz"
    counts = pd.read_csv(table, sep="\t", index_col=0)
    data = ad.AnnData(sp.csr_matrix(counts.to_numpy(np.float32).T))
    data.obs_names, data.var_names = counts.columns, counts.index
    data.write_h5ad(project / "data/myeloma_clone.h5ad")
    (project / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    return project


def run(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    python = [sys.executable, "-m"]
    if words[0] == "snakemake":
        command = [*python, "snakemake", "--cores", "1", "--configfile", "quick.yaml"]
    else:
        assert words[0] == "targetscore"
        command = [*python, "targetscore.cli", *words[1:]]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        capture_output=True,
        check=False,
        timeout=LONGEST,
    )


def test_the_walk_ends_in_a_report(repository, mine):
    text = section(repository)
    commands = steps(text)
    names = [" ".join(words[:2]) for words, _ in commands]
    assert names == [
        "targetscore add-atlas",
        "targetscore add-atlas",
        "targetscore add-indication",
        "targetscore check",
        "snakemake --cores",
    ]
    named = re.search(r"```yaml\n(.*?)```", text, re.DOTALL).group(1)
    for words, printed in commands:
        if words == ["targetscore", "check"]:
            (mine / "config/config.yaml").write_text(named)
        done = run(mine, words)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        if words[0] == "targetscore":
            assert is_printed(printed, done.stdout), done.stdout
    page = (mine / "results/report/my_myeloma.html").read_text(encoding="utf-8")
    assert "My myeloma, one clone against sorted blood" in page
    for antigen in ("TNFRSF17", "SLAMF7", "CD38"):
        assert antigen in page


def test_without_a_word_everything_missing_is_listed_and_nothing_written(mine):
    before = (mine / "config/atlases.tsv").read_bytes()
    done = run(mine, ["targetscore", "add-atlas", "data/sorted_pbmc.h5ad"])
    assert done.returncode == 1
    missing = re.findall(r"^data/sorted_pbmc.h5ad: (\w+): ", done.stderr, re.MULTILINE)
    assert missing == ["licence", "version", "donor", "tissue", "disease"]
    assert "Traceback" not in done.stderr
    assert "--set donor=COLUMN" in done.stderr
    assert (mine / "config/atlases.tsv").read_bytes() == before
    assert not (mine / "config/labels/sorted_pbmc_cell_types.tsv").exists()


def test_a_person_at_a_terminal_is_asked(mine):
    """The same file, with answers typed at a real terminal."""
    leader, follower = pty.openpty()
    answers = ["CC BY 4.0", "1", "=donor 1", "=blood", "normal", "=normal", "", "", "y"]
    os.write(leader, "".join(f"{a}\n" for a in answers).encode())
    command = [sys.executable, "-m", "targetscore.cli", "add-atlas", "data/sorted_pbmc.h5ad"]
    done = subprocess.run(
        [*command, "--set", "cell_type==monocyte"],
        cwd=mine,
        stdin=follower,
        text=True,
        encoding="utf-8",
        capture_output=True,
        check=False,
        timeout=LONGEST,
    )
    os.close(leader)
    os.close(follower)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "Add it to config/atlases.tsv? [y/N]" in done.stdout
    assert "one of: cell, cell_type" in done.stdout
    assert "sorted_pbmc\thealthy\th5ad\t1\t" in (mine / "config/atlases.tsv").read_text()


def test_leukaemia_as_geo_ships_it(mine, realdata):
    """Fifteen samples in thirty files: labels from a table, malignancy by the publisher."""
    (mine / "data/aml").symlink_to(realdata / "aml_van_galen")
    words = ["targetscore", "add-atlas", "data/aml", "--yes", "--set", "licence=GEO, public"]
    words += ["--set", "version=GSE116256"]
    words += ["--set", "cell_labels=config/labels/van_galen_samples.tsv"]
    words += ["--set", "label_map=config/labels/van_galen_cell_types.tsv"]
    done = run(mine, words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for field, value in {
        "kind": "mixed",
        "format": "geo_text",
        "donor": "donor",
        "sample": "sample",
        "cell_type": "CellType",
        "malignancy": "PredictionRefined",
    }.items():
        assert f"  {field:<11} {value}" in lines
    words = ["targetscore", "add-indication", "my_aml", "--title", "AML", "--diseased", "aml"]
    words += ["--healthy", "aml", "--disease", "acute myeloid leukemia", "--panel", "CD33,IL3RA"]
    done = run(mine, words)
    assert done.returncode == 0, done.stderr
    text = (mine / "config/indications/my_aml.yaml").read_text()
    assert "# diseases of the diseased cells (cells): acute myeloid leukemia MONDO:0018874" in text
    assert "normal_counterpart:\n  cell_types: [" in text
