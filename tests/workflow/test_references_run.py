"""A run with aggregated references, end to end; and references named where cells are needed."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from targetscore.checks import check_run, describe
from targetscore.config import load_run, read_yaml
from targetscore.contracts import LEVELS, REFERENCE_LEVELS
from targetscore.errors import TargetscoreError
from targetscore.io import read_json, read_stamp, read_table

pytestmark = pytest.mark.workflow

TABLE = "Gene\tGene name\tTissue\tnTPM\n" + "".join(
    f"{gene}\t{symbol}\t{tissue}\t{level}\n"
    for gene, symbol, levels in (
        ("ENSG00000115884", "SDC1", (("thyroid gland", 180.0), ("retina", 90.0), ("moon<b>", 5.0))),
        ("ENSG00000111291", "GPRC5D", (("thyroid gland", 0.1),)),
    )
    for tissue, level in levels
)


def add_reference(project: Path, **indication: object) -> None:
    """Register a reference, and an indication beside the demonstration that names it."""
    with gzip.open(project / "levels.tsv.gz", "wt") as stream:
        stream.write(TABLE)
    row = {
        "atlas": "some_levels",
        "kind": "reference",
        "format": "level_table",
        "version": "7",
        "url": "levels.tsv.gz",
        "licence": "test <i>licence</i>",
        "tissue": "Tissue",
        "unit": "nTPM",
        "n_donors": "3",
        "counts": "nTPM",
        "label_map": "config/labels/hpa_labels.tsv",
    }
    text = "\n".join("\t".join(line) for line in (row, row.values())) + "\n"
    (project / "config/mine.tsv").write_text(text)
    value = read_yaml(project / "config/indications/multiple_myeloma_demo.yaml")
    for side in ("diseased", "healthy"):
        value[side] |= indication.get(side, {})
    (project / "config/indications/with_levels.yaml").write_text(yaml.safe_dump(value))
    config = {
        "indications": ["multiple_myeloma_demo", "with_levels"],
        "registries": ["config/atlases.tsv", "config/mine.tsv"],
        "scoring": {"bootstrap": 0},
    }
    (project / "config/config.yaml").write_text(yaml.safe_dump(config))


def test_run_with_a_reference(small: Path, snakemake: Callable):
    add_reference(small, healthy={"references": ["some_levels"]})
    plan = snakemake(small, "--dry-run")
    assert plan.returncode == 0, plan.stdout[-3000:]
    assert "ingest_reference" in plan.stdout
    done = snakemake(small)
    assert done.returncode == 0, done.stdout[-6000:]
    results = small / "results"

    levels = read_table(results / "ingest/some_levels/levels.parquet", REFERENCE_LEVELS)
    assert len(levels) == 3
    stamp = read_stamp(results / "ingest/some_levels/levels.parquet")
    assert stamp["contract"] == "ingest/levels"
    assert {"code", "settings", "versions"} <= set(stamp)
    assert read_json(results / "ingest/some_levels/summary.json")["unmapped_labels"] == ["moon<b>"]

    found = read_table(results / "score/with_levels/levels.parquet", LEVELS)
    syndecan = found[found["antigen"] == "SDC1"].set_index("tissue")
    assert syndecan.loc["thyroid gland", "verdict"] == "concern"
    assert syndecan.loc["thyroid gland", "counts"]
    assert not syndecan.loc["retina", "counts"]
    assert (found.loc[found["antigen"] == "CD19", "verdict"] == "not_measured").all()
    assert read_table(results / "score/multiple_myeloma_demo/levels.parquet", LEVELS).empty

    plain, levelled = (
        pd.read_csv(results / f"score/{name}/ranking.tsv", sep="\t").set_index("antigen")
        for name in ("multiple_myeloma_demo", "with_levels")
    )
    ratio = levelled["safety_score"] / plain.loc[levelled.index, "safety_score"]
    assert (ratio <= 1 + 1e-12).all()
    assert ratio["GPRC5D"] == pytest.approx(1)

    page = (results / "report/with_levels.html").read_text()
    assert "level only, 3 donors as stated, no fraction" in page
    assert "test &lt;i&gt;licence" in page
    assert "<b>" not in page.replace("<body", "")
    assert 'id="levels"' not in (results / "report/multiple_myeloma_demo.html").read_text()

    other = snakemake(small, "--dry-run", "--config", "levels={floor: 2}")
    assert other.returncode == 0, other.stdout[-3000:]
    assert "indication=with_levels" in other.stdout
    assert "indication=multiple_myeloma_demo" not in other.stdout

    told = subprocess.run(
        [sys.executable, "-m", "targetscore.cli", "explain", "SDC1", "--indication", "with_levels"],
        cwd=small,
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    assert "180 nTPM, level only, 3 donors as stated, no fraction: concern" in told


def test_check_names_labels_that_are_not_used(project: Path):
    add_reference(project, healthy={"references": ["some_levels"]})
    run = load_run(read_yaml("config/config.yaml"))
    said = describe(run, check_run(run))
    assert "references, levels only: some_levels" in said
    assert "some_levels: 1 labels without a term, their levels are not used: moon<b>" in said


def test_check_names_rows_of_the_toxicity_list_that_do_not_exist(project: Path):
    add_reference(project, healthy={"references": ["some_levels"]})
    path = project / "config/labels/hpa_labels.tsv"
    lines = path.read_text().splitlines()
    header = next(n for n, line in enumerate(lines) if not line.startswith("#"))
    place = lines[header].split("\t").index("tier_label")
    fields = lines[header + 1].split("\t")
    fields[place] = "hepatocite"
    lines[header + 1] = "\t".join(fields)
    path.unlink()  # the project shares it
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(TargetscoreError, match=r"called 'hepatocite'\n.*did you mean 'hepatocyte'"):
        check_run(load_run(read_yaml("config/config.yaml")))


@pytest.mark.parametrize(
    ("change", "place", "wrong"),
    [
        ({"diseased": {"atlases": ["some_levels"]}}, "diseased.atlases", "no cells"),
        ({"healthy": {"atlases": ["some_levels"]}}, "healthy.atlases", "no cells"),
        (
            {"healthy": {"references": ["simulated_myeloma"]}},
            "healthy.references",
            "cells, not levels",
        ),
        ({"healthy": {"references": ["some_level"]}}, "healthy.references", "did you mean"),
    ],
)
def test_cells_and_levels_are_not_confused(project: Path, change, place, wrong):
    add_reference(project, **change)
    with pytest.raises(TargetscoreError) as caught:
        load_run(read_yaml("config/config.yaml"))
    assert place in str(caught.value)
    assert wrong in str(caught.value)
