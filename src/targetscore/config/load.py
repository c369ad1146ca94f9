"""Read the configuration, registries and indications; report every problem at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from targetscore.config.models import AtlasRow, Indication, RunConfig
from targetscore.config.read import read_yaml, tsv_lines
from targetscore.errors import (
    ConfigError,
    Problem,
    RegistryError,
    TargetscoreError,
    listed,
    near_matches,
    plain,
    raise_all,
)

Model = TypeVar("Model", bound=BaseModel)


def _known_keys(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """Return the keys allowed at a place inside a model."""
    current: Any = model
    for step in place:
        if isinstance(step, int):
            continue
        field = current.model_fields.get(step) if hasattr(current, "model_fields") else None
        if field is None:
            return []
        current = next(
            (t for t in _types(field.annotation) if hasattr(t, "model_fields")), field.annotation
        )
    return list(getattr(current, "model_fields", {}))


def _types(annotation: Any) -> list[Any]:
    inner = getattr(annotation, "__args__", ())
    return [annotation, *(t for a in inner for t in _types(a))]


def model_problems(error: ValidationError, model: type[BaseModel], file: str) -> list[Problem]:
    """Turn a pydantic error into problems that say what to do."""
    problems = []
    for fault in error.errors():
        place = ".".join(str(step) for step in fault["loc"])
        kind = fault["type"]
        if kind == "extra_forbidden":
            known = _known_keys(model, fault["loc"][:-1])
            near = near_matches(fault["loc"][-1], known)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {listed(known, 30)}"
            problems.append(Problem(file, place, "unknown key", hint))
        elif kind == "missing":
            problems.append(
                Problem(file, place, "the key is missing", "add it; config/README.md explains it")
            )
        else:
            given = plain(repr(fault.get("input")), 80)
            problems.append(
                Problem(
                    file,
                    place or "(whole)",
                    f"{fault['msg'].removeprefix('Value error, ')}, got {given}",
                    "correct the value; config/README.md explains it",
                )
            )
    return problems


def parse(
    model: type[Model],
    value: Mapping[str, Any],
    file: str,
    kind: type[TargetscoreError] = ConfigError,
) -> Model:
    """Check a mapping against a model.

    Raises
    ------
    TargetscoreError
        Of the given kind, with every problem of the mapping.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise kind(model_problems(error, model, file)) from None


def load_config(value: Mapping[str, Any], file: str = "config/config.yaml") -> RunConfig:
    """Check a run configuration that Snakemake or :func:`read_yaml` has read.

    Raises
    ------
    ConfigError
        With every problem of the configuration.
    """
    config = parse(RunConfig, {k: v for k, v in value.items() if k != "pathvars"}, file)
    if config.gene_reference:
        place = expand(config.gene_reference, file, "gene_reference")
        config = config.model_copy(update={"gene_reference": place})
    return config


def expand(text: str, file: str, place: str) -> str:
    """Replace ``${NAME}`` by the environment variable of that name.

    Raises
    ------
    RegistryError
        If the variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise RegistryError.one(
                file, place, f"the environment variable {name} is not set", f"export {name}=…"
            )
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", value, text)


def load_registry(paths: Sequence[str]) -> dict[str, AtlasRow]:
    """Read atlas registries; a later one replaces rows of an earlier one by name.

    Raises
    ------
    RegistryError
        With every problem of every row.
    """
    rows: dict[str, AtlasRow] = {}
    problems: list[Problem] = []
    for path in paths:
        seen: dict[str, int] = {}
        header, lines = tsv_lines(path, RegistryError)
        for line, fields in lines:
            record = {k: v for k, v in zip(header, fields, strict=True) if v}
            place = f"line {line}"
            try:
                row = parse(AtlasRow, record, path, RegistryError)
            except RegistryError as error:
                problems += [
                    Problem(path, f"{place}, {p.place}", p.wrong, p.remedy) for p in error.problems
                ]
                continue
            if row.atlas in seen:
                wrong = f"the atlas '{row.atlas}' stands in line {seen[row.atlas]} already"
                problems.append(Problem(path, place, wrong, "give each atlas one row"))
            seen[row.atlas] = line
            rows[row.atlas] = row
    raise_all(RegistryError, problems)
    return rows


def indication_path(name: str, folders: Sequence[str]) -> Path:
    """Return the file of an indication.

    Raises
    ------
    ConfigError
        If no folder has it; the message offers names that look alike.
    """
    for folder in folders:
        path = Path(folder) / f"{name}.yaml"
        if path.is_file():
            return path
    known = sorted({p.stem for f in folders for p in Path(f).glob("*.yaml")})
    near = near_matches(name, known)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError.one(
        ", ".join(folders),
        f"{name}.yaml",
        "there is no such indication",
        f"{hint}known indications: {listed(known, 20)}",
    )


def load_indication(name: str, config: RunConfig) -> Indication:
    """Read one indication by name."""
    path = indication_path(name, config.indication_folders)
    return parse(Indication, read_yaml(path), str(path))


@dataclass(frozen=True)
class Run:
    """Everything a run is made of, read and checked against each other."""

    config: RunConfig
    registry: dict[str, AtlasRow]
    indications: dict[str, Indication]

    @property
    def atlases(self) -> list[str]:
        """Names of the atlases that the run's indications use, sorted."""
        return sorted({a for i in self.indications.values() for a in i.atlases})

    @property
    def references(self) -> list[str]:
        """Names of the aggregated references that the run's indications use, sorted."""
        return sorted({r for i in self.indications.values() for r in i.references})

    @property
    def registries(self) -> str:
        """The registry files, for messages."""
        return ", ".join(self.config.registries)


def load_run(value: Mapping[str, Any], file: str = "config/config.yaml") -> Run:
    """Read everything a run is made of; no atlas is opened.

    Parameters
    ----------
    value
        The configuration as Snakemake or :func:`read_yaml` has read it.
    file
        Where it is from, for messages.

    Raises
    ------
    TargetscoreError
        With every problem of the first kind of file that has any.
    """
    config = load_config(value, file)
    registry = load_registry(config.registries)
    return Run(config, registry, load_indications(config, registry))


def load_indications(config: RunConfig, registry: Mapping[str, AtlasRow]) -> dict[str, Indication]:
    """Read all indications of a run and check that their atlases are registered.

    Raises
    ------
    ConfigError
        With every problem of every indication.
    """
    indications: dict[str, Indication] = {}
    problems: list[Problem] = []
    for name in config.indications:
        try:
            indication = load_indication(name, config)
        except ConfigError as error:
            problems += error.problems
            continue
        indications[name] = indication
        file = str(indication_path(name, config.indication_folders))
        for place, atlases in (
            ("diseased.atlases", indication.diseased.atlases),
            ("healthy.atlases", indication.healthy.atlases),
            ("healthy.references", indication.healthy.references),
        ):
            problems += _wrong_kind(file, place, atlases, registry)
            for atlas in sorted(set(atlases) - set(registry)):
                near = near_matches(atlas, registry)
                hint = f"did you mean '{near[0]}'? " if near else ""
                problems.append(
                    Problem(
                        file,
                        place,
                        f"unknown atlas '{atlas}'",
                        f"{hint}add a row to {', '.join(config.registries)}, or pick from: "
                        f"{listed(sorted(registry), 20)}",
                    )
                )
    raise_all(ConfigError, problems)
    return indications


def _wrong_kind(
    file: str, place: str, names: Sequence[str], registry: Mapping[str, AtlasRow]
) -> Iterator[Problem]:
    """Refuse a reference where cells are needed, and cells where levels are."""
    as_levels = place == "healthy.references"
    for name in sorted(set(names) & set(registry)):
        if (registry[name].kind == "reference") != as_levels:
            held = "cells, not levels" if as_levels else "levels per tissue, no cells"
            where = "healthy.atlases" if as_levels else "healthy.references"
            yield Problem(file, place, f"'{name}' holds {held}", f"name it under {where} instead")
