"""Everything that can be checked before the first job, without reading a whole matrix."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targetscore import ontology
from targetscore.assessable import assess_classes, class_lines, shared_donors, tissue_problems
from targetscore.config import (
    AtlasRow,
    Indication,
    Run,
    indication_path,
    is_store,
    parse_store,
    read_tsv,
)
from targetscore.errors import (
    ContractError,
    GeneError,
    Problem,
    RegistryError,
    TargetscoreError,
    listed,
    near_matches,
    plain,
    raise_all,
)
from targetscore.fetch import checksum_status, local_files, local_location, verify_local
from targetscore.genes import GeneTable, load_genes, resolve_panel
from targetscore.ingest import Ingested, ingest_atlas
from targetscore.ingest.contamination import load_programmes
from targetscore.ingest.references import Referenced, ingest_reference
from targetscore.io import read_json, write_json
from targetscore.knowledge import Knowledge, load_knowledge
from targetscore.progress import size_text
from targetscore.provenance import code_fingerprint, digest
from targetscore.samecells import same_cells
from targetscore.score.tiers import tier_rows
from targetscore.simulate import parse_url

CACHE = Path(".snakemake/targetscore")
"""What was found in local atlases, so that an unchanged one is not opened at every start."""


class InputError(TargetscoreError):
    """Several inputs of a run cannot be used; carries the problems of all of them."""


@dataclass(frozen=True)
class Examined:
    """What a check found.

    Attributes
    ----------
    notices
        What a user should know but that stops nothing.
    problems
        What stops a run.
    summaries
        What ingest says of the atlases that are here, by name.
    knowledge, genes
        The curated tables.
    refused
        Atlases that are here and cannot be used.
    """

    notices: list[str]
    problems: list[Problem]
    summaries: dict[str, dict[str, Any]]
    knowledge: Knowledge
    genes: GeneTable
    refused: frozenset[str] = frozenset()


def check_run(run: Run) -> list[str]:
    """Check a run and stop at the first kind of input that cannot be used.

    Returns
    -------
    list of str
        What a user should know but that stops nothing.

    Raises
    ------
    TargetscoreError
        With every problem that was found.
    """
    found = examine(run)
    raise_all(InputError, found.problems)
    return found.notices


def examine(run: Run) -> Examined:
    """Check curated tables, indications and every atlas that is already there.

    Parameters
    ----------
    run
        The run as configured.

    Raises
    ------
    TargetscoreError
        If the curated tables cannot be used.
    """
    knowledge = load_knowledge(run.config.knowledge)
    genes = load_genes(run.config.knowledge, run.config.gene_reference)
    load_programmes(run.config.knowledge, genes)
    problems = [p for name in run.indications for p in _indication_problems(name, run, genes)]
    for name in run.indications:
        problems += _vital_problems(name, run, knowledge)
    summaries: dict[str, dict[str, Any]] = {}
    notices: list[str] = []
    refused: set[str] = set()
    for atlas in [*run.atlases, *run.references]:
        row = run.registry[atlas]
        problems += tissue_problems(row, run.registries)
        found = verify_atlas(row, run, genes)
        if isinstance(found, list):
            problems += found
            refused.add(atlas)
        elif found is not None:
            summaries[atlas] = found
            notices += _level_notices(found) if row.kind == "reference" else _notices(found)
        elif not row.simulated:
            how = "read over the network" if is_store(row.url) else "not here yet, will be fetched"
            notices.append(f"{atlas}: {how}; its cells are checked then")
    problems += _same_source_twice(run)
    problems += _tier_problems(run, knowledge)
    for name, indication in run.indications.items():
        problems += _cell_problems(name, indication, run, summaries)
        problems += _repeated_panel_genes(name, run, genes, summaries)
        here = [summaries[a] for a in indication.atlases if a in summaries]
        problems += same_cells(here, run.registries)
        for one, other, tissues in shared_donors(indication, run.registry):
            notices.append(
                f"{name}: {one} and {other} may hold the same donors, who would count twice "
                f"({listed(tissues)})"
            )
    unique = list(dict.fromkeys(problems))
    return Examined(notices, unique, summaries, knowledge, genes, frozenset(refused))


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
        if row.kind == "reference":
            found: Ingested | Referenced = ingest_reference(row, location, genes, run.registries)
        else:
            found = ingest_atlas(row, location, genes, run.registries, read_matrix=False)
    except TargetscoreError as error:
        return error.problems
    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
        write_json({"key": key, "summary": found.summary}, CACHE / f"{row.atlas}.json")
    return found.summary


def _tier_problems(run: Run, knowledge: Knowledge) -> Iterator[Problem]:
    """Label maps of references name rows of the toxicity list."""
    known = set(knowledge.tissue_tiers["label"])
    for name in run.references:
        path = run.registry[name].label_map
        lines: list[dict[str, str]] = []
        if path:
            with suppress(RegistryError):  # reported when the reference is read
                lines = read_tsv(path, RegistryError, ("tier_label",))
        for wrong in sorted({line["tier_label"] for line in lines} - known - {""}):
            near = near_matches(wrong, known)
            remedy = (
                f"did you mean '{near[0]}'?" if near else "write the label of a row, or nothing"
            )
            text = f"no row of tissue_tiers.tsv is called '{plain(wrong)}'"
            yield Problem(path, "column tier_label", text, remedy)


def _same_source_twice(run: Run) -> Iterator[Problem]:
    """One file under two names would count its donors twice."""
    first: dict[tuple[str, object], str] = {}
    for atlas in [*run.atlases, *run.references]:
        row = run.registry[atlas]
        source = row.url
        with suppress(TargetscoreError):  # reported by verify_atlas
            place = local_location(row, run.registries)
            source = str(Path(place).resolve()) if place else row.url
        # Two queries of a store need not share a cell; those that do are found by their barcodes.
        cells = parse_store(row.url).filters if is_store(row.url) else ()
        known = first.setdefault((source, cells), atlas)
        if known != atlas:
            wrong = f"'{known}' and '{atlas}' are the same data ({plain(row.url)})"
            remedy = "keep one row: donors must not count twice"
            yield Problem(run.registries, f"{atlas}, column url", wrong, remedy)


def _remembered(atlas: str, key: str) -> dict[str, Any] | None:
    try:
        kept = read_json(CACHE / f"{atlas}.json")
    except (OSError, ContractError):
        return None
    return kept["summary"] if kept.get("key") == key else None


def _notices(summary: Mapping[str, Any]) -> Iterator[str]:
    atlas = summary["atlas"]
    yield from (f"{atlas}: {note}" for note in summary["reading"])
    lost = summary["n_cells"] - summary["n_cells_kept"]
    if lost:
        yield f"{atlas}: {lost:,} of {summary['n_cells']:,} cells rejected: {summary['rejected']}"
    if summary["unmapped_cell_types"]:
        labels = map(_unmapped, summary["unmapped_cell_types"])
        yield f"{atlas}: cell types without a Cell Ontology term: {listed(labels)}"
    if summary["unmapped_tissues"]:
        labels = map(_unmapped, summary["unmapped_tissues"])
        yield f"{atlas}: tissues without an UBERON term: {listed(labels)}"
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


def _level_notices(summary: Mapping[str, Any]) -> Iterator[str]:
    reference = summary["atlas"]
    if summary["unmapped_labels"]:
        n, labels = len(summary["unmapped_labels"]), listed(summary["unmapped_labels"])
        yield f"{reference}: {n:,} labels without a term, their levels are not used: {labels}"
    if summary["values_not_understood"]:
        yield f"{reference}: values that are no level: {summary['values_not_understood']}"


def _unmapped(found: Mapping[str, Any]) -> str:
    alike = f"; looks like {' or '.join(found['near'])}" if found["near"] else ""
    return f"{found['label']} ({found['n_cells']:,} cells{alike})"


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


def _vital_problems(name: str, run: Run, knowledge: Knowledge) -> Iterator[Problem]:
    """Refuse a lineage that is accepted to be lost but holds cells nobody survives losing."""
    indication = run.indications[name]
    file = str(indication_path(name, run.config.indication_folders))
    for place, names in _cell_type_places(indication):
        for text in names if place != "diseased.cell_types" else []:
            lineage = {term} if (term := ontology.find(text, "CL")) else set()
            rows = tier_rows(knowledge, lineage, indication.hsct_rescue, indication.disease.id)
            vital = sorted({r.cell_type for r in rows if r.tolerated and r.tier == 1})
            if vital:
                wrong = f"'{plain(text)}' holds cells that are vital (tier 1): {listed(vital)}"
                remedy = "name narrower cell types; hsct_rescue: true makes stem cells tier 2"
                yield Problem(file, place, wrong, remedy)


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
        wanted = [ontology.diseases(d) for d in indication.diseased.disease]
        here = {t["disease"] for t in diseased}
        if not any(all_of <= ontology.diseases(found) for found in here for all_of in wanted):
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


def atlas_lines(
    run: Run, summaries: Mapping[str, Mapping[str, Any]], refused: Collection[str] = ()
) -> list[str]:
    """Say of each atlas whether it is here and pinned, and how large its publisher says it is."""
    lines = []
    for name in [*run.atlases, *run.references]:
        row = run.registry[name]
        try:
            status = checksum_status(row, run.registries)
        except TargetscoreError:
            continue  # reported as a problem of its own
        about = [f"{int(row.n_cells):,} cells"] if row.n_cells else []
        about += [f"about {size_text(int(row.n_bytes))}"] if row.n_bytes else []
        fetched = _manifest(name).is_file()
        if name in refused:
            about.append("cannot be used, see the problems below")
        elif fetched and status.endswith("first fetch"):
            about.append("fetched; targetscore pin writes down what was fetched")
        elif name not in summaries and not row.simulated and not is_store(row.url):
            about.append("fetched" if fetched else "not here yet")
        lines.append(f"  {name}: {'; '.join([status, *about])}")
    return lines


def _manifest(atlas: str) -> Path:
    return Path("results/fetch", atlas, "manifest.json")


def overview(run: Run, found: Examined) -> str:
    """Return what is known of the atlases and toxicity classes, whatever else is wrong."""
    known = {**_ingested(run), **found.summaries}
    lines = ["atlases", *atlas_lines(run, known, found.refused)]
    for name, indication in run.indications.items():
        file = str(indication_path(name, run.config.indication_folders))
        try:
            panel = [gene.symbol for gene in resolve_panel(indication, found.genes, file)]
        except GeneError:
            panel = []  # reported as a problem of its own
        classes = assess_classes(
            indication,
            panel,
            found.knowledge,
            run.registry,
            known,
            run.config.scoring.min_cells_assessed,
        )
        own = indication.healthy.atlases
        absent = [a for a in own if a not in known and a not in found.refused]
        lines += ["", *class_lines(name, classes, absent)]
    return "\n".join(lines)


def _ingested(run: Run) -> dict[str, dict[str, Any]]:
    """Return the summaries of atlases that a run has fetched and ingested, as they are now."""
    found = {atlas: ingested(run.registry[atlas]) for atlas in run.atlases}
    return {atlas: summary for atlas, summary in found.items() if summary is not None}


def ingested(row: AtlasRow) -> dict[str, Any] | None:
    """Return the summary of an atlas that a run ingested as its row is now, None if none did."""
    try:
        summary = read_json(f"results/ingest/{row.atlas}/summary.json")
    except (OSError, ContractError):
        return None
    now = isinstance(summary, dict) and all(
        summary.get(key) == getattr(row, key) for key in ("url", "version")
    )
    return summary if now else None


def describe(run: Run, notices: list[str]) -> str:
    """Return what a successful check says."""
    lines = [
        f"{len(run.indications)} indication(s): {', '.join(run.indications)}",
        f"{len(run.atlases)} atlas(es): {', '.join(run.atlases)}",
        *([f"references, levels only: {', '.join(run.references)}"] if run.references else []),
        *(f"note: {plain(n, 400)}" for n in notices),
        "configuration, tables, indications and local atlases: no problem found",
    ]
    return "\n".join(lines)
