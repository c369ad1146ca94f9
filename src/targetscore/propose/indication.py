"""``targetscore add-indication``: look at the atlases, write a commented YAML to start from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from targetscore import ontology
from targetscore.checks import ingested, verify_atlas
from targetscore.config import Indication, Run, RunConfig, load_registry
from targetscore.config.load import parse
from targetscore.config.models import SLUG
from targetscore.errors import (
    ConfigError,
    Problem,
    listed,
    near_matches,
    plain,
    raise_all,
)
from targetscore.genes import GeneTable, load_genes, resolve_panel
from targetscore.io import write_text
from targetscore.knowledge import load_knowledge
from targetscore.propose.commented import Summary, cells_of, indication_lines, main_types

__all__ = ["IndicationRequest", "add_indication"]

_ROLES = ("primary", "comparator", "solid")


@dataclass(frozen=True)
class IndicationRequest:
    """What a user asks for.

    Attributes
    ----------
    name
        Name of the indication and of its file.
    title
        Shown in the report.
    disease
        MONDO id, or a name of the disease.
    diseased, healthy
        Atlases of the registry.
    panel
        Symbols or aliases; none: the curated antigens that RNA can score.
    """

    name: str
    title: str
    disease: str
    diseased: Sequence[str]
    healthy: Sequence[str]
    panel: Sequence[str] = field(default=())


def add_indication(request: IndicationRequest, config: RunConfig, config_file: str) -> str:
    """Write a commented indication after a look at its atlases.

    Parameters
    ----------
    request
        What is asked for.
    config
        The run configuration; names registries, folders and curated tables.
    config_file
        Its file, for the next steps.

    Returns
    -------
    str
        What was written, and what to do next.

    Raises
    ------
    TargetscoreError
        With everything that is wrong with the request, or if the file is there already; then
        nothing is written.
    """
    path = Path(config.indication_folders[0]) / f"{request.name}.yaml"
    registry = load_registry(config.registries)
    disease = ontology.find(request.disease, "MONDO")
    raise_all(ConfigError, list(_problems(request, path, config, list(registry), disease)))
    genes = load_genes(config.knowledge, config.gene_reference)
    run = Run(config, registry, {})
    names = [*request.diseased, *request.healthy]
    summaries = {a: _summary(a, run, genes) for a in dict.fromkeys(names)}
    panel = list(request.panel) or _curated(config)
    types = _types(request, summaries, run)
    value = _value(request, str(disease), summaries, types, panel)
    indication = parse(Indication, value, str(path))
    resolve_panel(indication, genes, str(path))
    text = "".join(f"{line}\n" for line in indication_lines(value, summaries))
    if yaml.safe_load(text) != value:  # a comment or a quoted word was read as something else
        raise ConfigError.one(path, "", "would not be read as written", "simplify the title")
    try:
        write_text(text, path)
    except OSError as error:
        wrong = f"cannot be written ({plain(error)})"
        raise ConfigError.one(path, "", wrong, "check permissions") from error
    steps = [
        f"{path}: written; review every line marked REVIEW",
        f"next: name {request.name} under indications in {config_file}",
        "next: targetscore check",
        "next: snakemake --cores 4",
    ]
    return "\n".join([*_notes(summaries), *steps])


def _problems(
    request: IndicationRequest,
    path: Path,
    config: RunConfig,
    known: list[str],
    disease: str | None,
) -> Iterator[Problem]:
    if not re.fullmatch(SLUG, request.name):
        wrong = f"'{plain(request.name)}' is no name of an indication"
        yield Problem("command line", "NAME", wrong, "lower case letters, digits and underscores")
    elif path.exists():
        yield Problem(str(path), "", "is there already and is not overwritten", "give another name")
    for place, text in (("--title", request.title), ("--panel", "".join(request.panel))):
        if not text.isprintable() or (place == "--title" and not text.strip()):
            wrong = f"'{plain(text)}' is empty or holds characters nobody can see"
            yield Problem("command line", place, wrong, "write it as one line of visible text")
    if disease is None:
        near = [
            f"{n} {ontology.find(n, 'MONDO')}" for n in ontology.suggest(request.disease, "MONDO")
        ]
        hint = f"did you mean {listed(near)}?" if near else "look the disease up in MONDO"
        wrong = f"'{plain(request.disease)}' is no current MONDO term"
        yield Problem("command line", "--disease", wrong, hint)
    for place, atlases in (("--diseased", request.diseased), ("--healthy", request.healthy)):
        for atlas in dict.fromkeys(atlases):
            if atlas not in known:
                near = near_matches(atlas, known)
                hint = f"did you mean '{near[0]}'? " if near else ""
                remedy = f"{hint}targetscore add-atlas FILE registers it in {config.registries[0]}"
                yield Problem("command line", place, f"unknown atlas '{plain(atlas)}'", remedy)


def _summary(atlas: str, run: Run, genes: GeneTable) -> Summary | None:
    """Return what is in an atlas: read where it is, or as ingest found it; None if not here."""
    found = verify_atlas(run.registry[atlas], run, genes)
    if isinstance(found, list):
        raise ConfigError(found)
    return ingested(run.registry[atlas]) if found is None else found


def _curated(config: RunConfig) -> list[str]:
    antigens = load_knowledge(config.knowledge).antigens
    wanted = antigens["role"].isin(_ROLES) & (antigens["rna_scorable"] == "yes")
    return [str(symbol) for symbol in antigens.loc[wanted, "symbol"]]


def _types(
    request: IndicationRequest, summaries: Mapping[str, Summary | None], run: Run
) -> list[str]:
    """Return where the disease arises: types of the diseased cells, or what the registry says."""
    found = main_types(
        cells_of([summaries[a] for a in request.diseased], "diseased", "cell_type_id")
    )
    if found:
        return found
    named = ";".join(run.registry[a].lineage for a in request.diseased).split(";")
    terms = (ontology.find(name, "CL") for name in named if name.strip())
    return list(dict.fromkeys(term for term in terms if term))


def _value(
    request: IndicationRequest,
    disease: str,
    summaries: Mapping[str, Summary | None],
    types: Sequence[str],
    panel: Sequence[str],
) -> dict[str, Any]:
    diseased = [summaries[a] for a in request.diseased]
    names = cells_of(diseased, "diseased", "disease")
    found = {d for name in names for d in ontology.diseases(name) if d.startswith("MONDO:")}
    fitting = sorted(d for d in found if ontology.is_a(d, [disease]))
    value: dict[str, Any] = {
        "title": request.title.strip(),
        "question": f"Which surface antigen would make a CAR for {ontology.label(disease)}?",
        "disease": {"id": disease, "label": ontology.label(disease)},
        "diseased": {
            "atlases": list(dict.fromkeys(request.diseased)),
            "disease": fitting if len(names) > 1 else [],
            "cell_types": [],
        },
        "healthy": {"atlases": list(dict.fromkeys(request.healthy))},
    }
    if types:
        value["normal_counterpart"] = {"cell_types": [ontology.label(t) for t in types]}
    value["tolerated"] = {"cell_types": [], "reason": ""}
    value["hsct_rescue"] = False
    value["candidates"] = {"panel": [str(p) for p in panel]}
    value["notes"] = []
    return value


def _notes(summaries: Mapping[str, Summary | None]) -> list[str]:
    return [
        f"note: {a} is not here yet: its cells were not looked at"
        for a, summary in summaries.items()
        if summary is None
    ]
