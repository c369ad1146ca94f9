"""Lint, format, types and a dry run of every indication that is ready to run."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.workflow


def passes(repository, *command: str) -> None:
    done = subprocess.run(command, cwd=repository, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        ("snakefmt", "--check", "Snakefile", "workflow"),
        ("snakemake", "--lint"),
    ],
    ids=lambda c: " ".join(c[:2]),
)
def test_tools_are_content(repository, command):
    from pathlib import Path

    passes(repository, str(Path(sys.executable).parent / command[0]), *command[1:])


def test_dry_run_needs_no_atlas(project, snakemake):
    done = snakemake(project, "--dry-run")
    assert done.returncode == 0, done.stdout
    assert "render_report" in done.stdout
    assert not (project / "results").exists()


def test_no_machine_path_and_no_index_host_is_tracked(repository):
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    words = ["pypi" + ".org", "python" + "hosted", str(repository), "/" + "work/"]
    found = []
    for name in filter(None, files):
        path = repository / name
        if path.suffix == ".png" or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        found += [f"{name}: {w}" for w in words if w in text]
    assert not found


@pytest.mark.xdist_group("demo")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="tests run in one process")
def test_groups_of_tests_stay_together(request):
    """Else every process repeats the runs that a group shares, and nothing tells."""
    assert request.node.nodeid.endswith("@demo")
