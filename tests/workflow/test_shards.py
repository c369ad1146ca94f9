"""An atlas read by several jobs, kept packs, panels: the same results, nothing read twice."""

import re

import pandas as pd
import pytest

from targetscore.contracts import EXPRESSION, PANEL
from targetscore.io import read_table

pytestmark = pytest.mark.workflow
ATLAS = "results/profile/simulated_myeloma"
SETTINGS = "profile: {shards: 3, keep_packs: true, panel_counts: true}\n"


def results(folder) -> dict[str, bytes]:
    found = (p for p in (folder / "results").rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def jobs(output: str) -> list[str]:
    return re.findall(r"^(?:local)?rule (\w+):$", output, re.MULTILINE)


def test_shards_are_jobs_and_change_no_byte(small, snakemake):
    done = snakemake(small)
    assert done.returncode == 0, done.stdout[-3000:]
    one = results(small)
    assert not [name for name in one if name.endswith(".pack")], "packs are temporary"

    config = small / "config/config.yaml"
    config.write_text(config.read_text() + SETTINGS)
    (small / ATLAS / "expression.parquet").unlink()
    done = snakemake(small, cores=3)
    assert done.returncode == 0, done.stdout[-3000:]
    assert jobs(done.stdout).count("profile_shard") == 3
    many = results(small)
    added = sorted(many.keys() - one.keys())
    packs = [f"{ATLAS}/shards/{shard}-of-3.pack" for shard in (1, 2, 3)]
    assert added == sorted([f"{ATLAS}/panel.parquet", *packs])
    assert {name: many[name] for name in one} == one

    panel = read_table(small / ATLAS / "panel.parquet", PANEL)
    expression = read_table(small / ATLAS / "expression.parquet", EXPRESSION)
    per_group = panel.groupby(["gene_id", "group_id"], observed=True)["count"].agg(["size", "sum"])
    expected = expression.set_index(["gene_id", "group_id"]).loc[per_group.index]
    assert len(per_group)
    assert per_group["size"].tolist() == expected["n_detected"].tolist()
    assert per_group["sum"].tolist() == expected["sum_counts"].tolist()

    # A second indication on the same atlas: its matrix is not even there any more.
    source = small / "config/indications/multiple_myeloma_demo.yaml"
    source.with_name("twin.yaml").write_text(source.read_text())
    without_panel = SETTINGS.replace(", panel_counts: true", "")
    config.write_text(f"indications: [multiple_myeloma_demo, twin]\n{without_panel}")
    for matrix in (small / "results/simulate").glob("*.h5ad"):
        matrix.rename(small / "moved.h5ad")
    done = snakemake(small, "results/report/twin.html")
    assert done.returncode == 0, done.stdout[-3000:]
    assert set(jobs(done.stdout)) <= {"score_indication", "render_report"}


def test_progress_is_in_the_log(small, snakemake):
    assert snakemake(small, f"{ATLAS}/expression.parquet").returncode == 0
    logs = small / "logs"
    packing = (logs / "profile_shard/simulated_myeloma_1-of-1.log").read_text()
    assert re.search(
        r"reading \S+\.h5ad: [\d,]+ cells in \d:\d\d:\d\d, [\d,]+ cells/s, .+/s", packing
    )
    merging = (logs / "merge_profile/simulated_myeloma.log").read_text()
    assert re.search(r"adding up: [\d,]+ cells in \d:\d\d:\d\d", merging)


@pytest.mark.parametrize("setting", ["0", "many", "-1", "1.5"])
def test_a_wrong_number_of_shards(small, snakemake, setting):
    config = small / "config/config.yaml"
    config.write_text(config.read_text() + f"profile: {{shards: {setting}}}\n")
    done = snakemake(small, "-n")
    assert done.returncode != 0
    assert "profile.shards: should be a whole number from 1 to 1000, or auto, got" in done.stdout
    assert "Traceback" not in done.stdout


def test_pandas_reads_the_expression_of_one_gene(small, snakemake):
    """The encodings are plain Parquet: what users have reads them."""
    assert snakemake(small, f"{ATLAS}/expression.parquet").returncode == 0
    table = pd.read_parquet(small / ATLAS / "expression.parquet")
    assert (table["n_detected"] >= 1).all()
    assert table["thinned_detected"].le(table["n_detected"] + 1e-9).all()
