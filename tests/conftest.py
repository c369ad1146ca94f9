"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a checkout, to run in without touching the real one."""
    for name in ("Snakefile", "workflow", "src", "tests"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    config = tmp_path / "config"
    config.mkdir()
    for entry in (REPOSITORY / "config").iterdir():
        if entry.name == "indications":
            (config / "indications").mkdir()
            for file in entry.iterdir():
                (config / "indications" / file.name).write_text(file.read_text())
        elif entry.name in ("config.yaml", "atlases.tsv"):
            (config / entry.name).write_text(entry.read_text())
        else:
            (config / entry.name).symlink_to(entry)
    monkeypatch.chdir(tmp_path)
    return tmp_path
