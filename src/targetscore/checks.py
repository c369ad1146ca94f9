"""Everything that can be checked before the first job, without reading a whole matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from targetscore import ontology
from targetscore.config import AtlasRow, Indication, Run, indication_path
from targetscore.errors import (
    ContractError,
    GeneError,
    Problem,
    TargetscoreError,
    listed,
    near_matches,
    plain,
    raise_all,
)
from targetscore.fetch import local_files, local_location, verify_local
from targetscore.genes import GeneTable, load_genes, resolve_panel
from targetscore.ingest import ingest_atlas
from targetscore.io import read_json, write_json
from targetscore.knowledge import load_knowledge
from targetscore.provenance import code_fingerprint, digest
from targetscore.simulate import parse_url

CACHE = Path(".snakemake/targetscore")
"""What was found in local atlases, so that an unchanged one is not opened at every start."""


class InputError(TargetscoreError):
    """Several inputs of a run cannot be used; carries the problems of all of them."""


def check_run(run: Run) -> list[str]:
    """Check curated tables, indications and every atlas that is already there.

    Parameters
    ----------
    run
        The run as configured.

    Returns
    -------
    list of str
        What a user should know but that stops nothing.

    Raises
    ------
    TargetscoreError
        With every problem that was found.
    """
    load_knowledge(run.config.knowledge)
    genes = load_genes(run.config.knowledge, run.config.gene_reference)
    problems = [p for name in run.indications for p in _indication_problems(name, run, genes)]
    summaries: dict[str, dict[str, Any]] = {}
    notices: list[str] = []
    for atlas in run.atlases:
        row = run.registry[atlas]
        found = verify_atlas(row, run, genes)
        if isinstance(found, list):
            problems += found
        elif found is not None:
            summaries[atlas] = found
            notices += _notices(found)
        elif not row.simulated:
            notices.append(f"{atlas}: not here yet, will be fetched; its cells are checked then")
    problems += _same_source_twice(run)
    for name, indication in run.indications.items():
        problems += _cell_problems(name, indication, run, summaries)
        problems += _repeated_panel_genes(name, run, genes, summaries)
    raise_all(InputError, list(dict.fromkeys(problems)))
    return notices


def verify_atlas(
    row: AtlasRow, run: Run, genes: GeneTable
) -> dict[str, Any] | list[Problem] | None:
    """Open a local atlas and read its labels; None if it is not here (yet).

    Returns
    -------
    dict or list of Problem or None
        The summary of ingest, or what is wrong with the atlas.
    """
    try:
        files = [Path(f) for f in local_files(row, run.registries)]
        location = local_location(row, run.registries)
    except TargetscoreError as error:
        return error.problems
    if row.url.startswith("simulate:"):
        try:
            parse_url(row.url, run.registries, f"{row.atlas}, column url")
        except TargetscoreError as error:
            return error.problems
        return None
    if location is None:
        return verify_local(row, run.registries) or None
    tables = [Path(p) for p in (row.cell_labels, row.label_map) if p]
    missing = [
        Problem(run.registries, f"{row.atlas}", f"there is no file '{plain(p)}'", "check the path")
        for p in tables
        if not p.is_file()
    ]
    if missing:
        return missing
    state = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in [*files, *tables]]
    code = code_fingerprint("targetscore.ingest", "targetscore.formats", "targetscore.fetch")
    key = digest([row.model_dump(), state, run.config.gene_reference, code])
    remembered = _remembered(row.atlas, key)
    if remembered is not None:
        return remembered
    problems = verify_local(row, run.registries)
    if problems:
        return problems
    try:
        found = ingest_atlas(row, location, genes, run.registries, read_matrix=False)
    except TargetscoreError as error:
        return error.problems
    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
        write_json({"key": key, "summary": found.summary}, CACHE / f"{row.atlas}.json")
    return found.summary


def _same_source_twice(run: Run) -> Iterator[Problem]:
    """One file under two names would count its donors twice."""
    first: dict[str, str] = {}
    for atlas in run.atlases:
        source = run.registry[atlas].url
        if source in first:
            wrong = f"'{first[source]}' and '{atlas}' are the same data ({plain(source)})"
            remedy = "keep one row: donors must not count twice"
            yield Problem(run.registries, f"{atlas}, column url", wrong, remedy)
        first.setdefault(source, atlas)


def _remembered(atlas: str, key: str) -> dict[str, Any] | None:
    try:
        kept = read_json(CACHE / f"{atlas}.json")
    except (OSError, ContractError):
        return None
    return kept["summary"] if kept.get("key") == key else None


def _notices(summary: Mapping[str, Any]) -> Iterator[str]:
    atlas = summary["atlas"]
    lost = summary["n_cells"] - summary["n_cells_kept"]
    if lost:
        yield f"{atlas}: {lost:,} of {summary['n_cells']:,} cells rejected: {summary['rejected']}"
    if summary["unmapped_cell_types"]:
        labels = [f"{u['label']} ({u['n_cells']:,})" for u in summary["unmapped_cell_types"]]
        yield f"{atlas}: cell types without a Cell Ontology term: {listed(labels)}"
    unresolved = summary["genes_by_resolution"].get("unresolved", 0)
    if unresolved:
        n = summary["n_genes"]
        yield f"{atlas}: {unresolved:,} of {n:,} gene names are not known and kept as they are"
    unknown = summary["genes_by_resolution"].get("ambiguous", 0)
    if unknown:
        yield f"{atlas}: {unknown:,} gene names stand for more than one gene and are kept apart"
    if summary["malignancy_method"] == "light_chain":
        yield f"{atlas}: malignant cells are called from light chains when it is ingested"
    if summary["donors_without_diseased_cells"]:
        donors = listed(summary["donors_without_diseased_cells"])
        yield f"{atlas}: patients without diseased cells: {donors}"


def _indication_problems(name: str, run: Run, genes: GeneTable) -> list[Problem]:
    indication = run.indications[name]
    file = str(indication_path(name, run.config.indication_folders))
    problems: list[Problem] = []
    try:
        resolve_panel(indication, genes, file)
    except GeneError as error:
        problems += error.problems
    context = indication.candidates.context
    for selection in indication.diseased.selection:
        try:
            genes.resolve(selection.antigen, file, "diseased.selection", context)
        except GeneError as error:
            problems += error.problems
    for place, names in _cell_type_places(indication):
        for text in names:
            if ontology.find(text, "CL") is None:
                near = ontology.suggest(text, "CL")
                hint = f"did you mean {listed(near)}?" if near else "see the Cell Ontology"
                wrong = f"'{plain(text)}' is no Cell Ontology term"
                problems.append(Problem(file, place, wrong, hint))
    if not ontology.is_term(indication.disease.id, indication.disease.id.split(":", 1)[0]):
        wrong = f"'{indication.disease.id}' is no current term"
        problems.append(Problem(file, "disease.id", wrong, "look the disease up in MONDO"))
    return problems


def _cell_type_places(indication: Indication) -> list[tuple[str, list[str]]]:
    counterpart = indication.normal_counterpart
    return [
        ("diseased.cell_types", indication.diseased.cell_types),
        ("normal_counterpart.cell_types", counterpart.cell_types if counterpart else []),
        ("tolerated.cell_types", indication.tolerated.cell_types),
    ]


def _cell_problems(
    name: str, indication: Indication, run: Run, summaries: Mapping[str, Mapping[str, Any]]
) -> list[Problem]:
    """Hold an indication against the cells of its atlases, where all of them are here."""
    file = str(indication_path(name, run.config.indication_folders))
    problems: list[Problem] = []
    if set(indication.healthy.atlases) <= set(summaries) and not any(
        "healthy" in summaries[a]["populations"] for a in indication.healthy.atlases
    ):
        diseases = sorted(
            {t["disease"] for a in indication.healthy.atlases for t in summaries[a]["cell_types"]}
        )
        wrong = f"no cell of {listed(indication.healthy.atlases)} is healthy"
        remedy = f"healthy is exactly 'normal' (PATO:0000461); diseases found: {listed(diseases)}"
        problems.append(Problem(file, "healthy.atlases", wrong, remedy))
    if not set(indication.diseased.atlases) <= set(summaries):
        return problems
    types = [t for a in indication.diseased.atlases for t in summaries[a]["cell_types"]]
    diseased = [t for t in types if t["population"] == "diseased"]
    if not diseased:
        wrong = f"no cell of {listed(indication.diseased.atlases)} is diseased"
        remedy = (
            "name the malignancy column (or method) and lineage in the registry, or another atlas"
        )
        return [*problems, Problem(file, "diseased.atlases", wrong, remedy)]
    if indication.diseased.disease:
        wanted = {ontology.find(d, "MONDO") or d for d in indication.diseased.disease}
        here = {ontology.find(t["disease"], "MONDO") or t["disease"] for t in diseased}
        if not wanted & here:
            wrong = f"no diseased cell has the disease {listed(indication.diseased.disease)}"
            remedy = f"diseases of the diseased cells: {listed(sorted(here))}"
            problems.append(Problem(file, "diseased.disease", wrong, remedy))
    for place, names, among in (
        ("diseased.cell_types", indication.diseased.cell_types, diseased),
        ("normal_counterpart.cell_types", _counterpart_types(indication), types),
    ):
        problems += _absent_types(file, place, names, among)
    return problems


def _repeated_panel_genes(
    name: str, run: Run, genes: GeneTable, summaries: Mapping[str, Mapping[str, Any]]
) -> Iterator[Problem]:
    """Refuse a panel gene that an atlas holds twice under made-unique names (C0)."""
    file = str(indication_path(name, run.config.indication_folders))
    try:
        panel = {g.symbol for g in resolve_panel(run.indications[name], genes, file)}
    except GeneError:
        return
    for atlas in run.indications[name].atlases:
        for symbol in sorted(panel & set(summaries.get(atlas, {}).get("repeated_symbols", ()))):
            yield Problem(
                run.registries,
                f"{atlas}, genes",
                f"the atlas holds '{plain(symbol)}' twice, once with a number behind it",
                "only Ensembl ids can tell the two apart: name their column under gene_id, or "
                "take the gene off the panel",
            )


def _counterpart_types(indication: Indication) -> list[str]:
    return indication.normal_counterpart.cell_types if indication.normal_counterpart else []


def _absent_types(
    file: str, place: str, names: list[str], among: list[Mapping[str, Any]]
) -> Iterator[Problem]:
    here = {t["cell_type_id"]: t["cell_type"] for t in among}
    for text in names:
        term = ontology.find(text, "CL")
        if term is None or any(ontology.is_a(t, [term]) for t in here):
            continue
        near = near_matches(text, here.values())
        hint = f"did you mean {listed(near)}? " if near else ""
        unmapped = any(term.startswith("label:") for term in here)
        how = "; give labels without a Cell Ontology term one in a label_map" if unmapped else ""
        yield Problem(
            file,
            place,
            f"no cell of the atlases is a '{plain(text)}'",
            f"{hint}cell types there: {listed(sorted(set(here.values())), 30)}{how}",
        )


def describe(run: Run, notices: list[str]) -> str:
    """Return what a successful check says."""
    lines = [
        f"{len(run.indications)} indication(s): {', '.join(run.indications)}",
        f"{len(run.atlases)} atlas(es): {', '.join(run.atlases)}",
        *(f"note: {plain(n, 400)}" for n in notices),
        "configuration, tables, indications and local atlases: no problem found",
    ]
    return "\n".join(lines)
