"""What a result was made with: code, configuration, package versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).parent
_GROUND = (
    "contracts",
    "contracts_cells",
    "contracts_levels",
    "errors",
    "genes",
    "io",
    "ontology",
    "samecells",
)
_PACKAGES = (
    "anndata",
    "h5py",
    "numpy",
    "pandas",
    "pyarrow",
    "scanpy",
    "scipy",
    "snakemake",
    "targetscore",
)


def digest(value: object) -> str:
    """Return a short SHA-256 of a JSON-able value, independent of key order."""
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sources(module: str) -> Iterable[Path]:
    place = _ROOT.joinpath(*module.split(".")[1:])
    if place.is_dir():
        return sorted(p for p in place.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    beside = (place.with_suffix(".py"), place.with_name(f"{place.name}_labels.tsv"))
    return [path for path in beside if path.is_file()]


@lru_cache
def code_fingerprint(*modules: str) -> str:
    """Return a digest of the sources of some modules and of the shared ground floor.

    Given to every rule as a parameter, it makes Snakemake run a stage again when its code
    changed, and only that stage and what depends on it.

    Parameters
    ----------
    *modules
        Dotted names such as ``targetscore.score``; a package counts with all its files.
    """
    hasher = hashlib.sha256()
    for module in sorted({*modules, *(f"targetscore.{name}" for name in _GROUND)}):
        for source in _sources(module):
            hasher.update(source.relative_to(_ROOT).as_posix().encode())
            hasher.update(source.read_bytes())
    return hasher.hexdigest()[:16]


@lru_cache
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that shape a result."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def stamp(library: str, settings: object, checksums: Iterable[str]) -> dict[str, object]:
    """Return what a stage file is stamped with: code, configuration, atlases, versions."""
    return {
        "code": library,
        "settings": digest(settings),
        "atlases_sha256": sorted(checksums),
        "versions": package_versions(),
    }
