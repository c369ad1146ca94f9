"""Fixtures shared by all tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[1]
# The same examples in every run, so that a failure is of the change at hand. New ones:
# pytest -m hypothesis --hypothesis-profile explore
settings.register_profile("explore", settings.default)
settings.register_profile("repeatable", settings.default, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout the tests belong to."""
    return REPOSITORY


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Real single-cell data: TARGETSCORE_REALDATA, or the folder beside the repository."""
    named = os.environ.get("TARGETSCORE_REALDATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not (folder / "aml_van_galen").is_dir():
        pytest.skip(f"no real data at {folder}: set TARGETSCORE_REALDATA to a folder that has it")
    return folder


@pytest.fixture
def in_repository(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a test with the repository as the working directory, as users run the workflow."""
    monkeypatch.chdir(REPOSITORY)
    return REPOSITORY


def _lay_out(folder: Path) -> Path:
    """Make a folder look like a checkout: code by link, configuration as copies to change."""
    for name in ("Snakefile", "workflow", "src", "tests"):
        (folder / name).symlink_to(REPOSITORY / name)
    shutil.copytree(REPOSITORY / "config", folder / "config")
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a checkout, to run in and to change without touching the real one."""
    monkeypatch.chdir(_lay_out(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def session_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a folder like a checkout that lives as long as the session."""
    return lambda name: _lay_out(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def snakemake() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Snakemake in a folder; returns the process with its output in ``stdout``."""

    def run(folder: Path, *arguments: str, cores: int = 2, **environment: str):
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
        return subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    return run
