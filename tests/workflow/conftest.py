"""A small simulated run, and the finished demonstration shared by the tests that read it."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def small(project: Path) -> Path:
    """A project whose simulated atlas is small and quick."""
    registry = project / "config" / "atlases.tsv"
    text = registry.read_text()
    assert "simulate:myeloma?seed=1\t" in text
    registry.write_text(
        text.replace("simulate:myeloma?seed=1\t", "simulate:myeloma?seed=1&cells=5000&genes=600\t")
    )
    return project


@pytest.fixture(scope="session")
def demo_run(session_project: Callable[[str], Path], snakemake: Callable) -> tuple[Path, str]:
    """The default run of a newcomer, finished: its folder and what Snakemake printed."""
    folder = session_project("demo")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-6000:]
    return folder, done.stdout
