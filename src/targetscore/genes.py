"""Gene identity: Ensembl ids are the key, symbols and aliases lead to them (C0).

Names are resolved in a fixed order and never guessed: Ensembl id, approved symbol,
previous symbol, alias that stands for one gene only, curated typing errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from targetscore.config import Indication, read_tsv
from targetscore.errors import (
    GeneError,
    KnowledgeError,
    Problem,
    listed,
    near_matches,
    plain,
    raise_all,
)

_ENSEMBL = re.compile(r"^(ENSG\d{11})(\.\d+)?(_PAR_Y)?$")
_MADE_UNIQUE = re.compile(r"^(.+)[-.]\d+$")
_IMMUNOGLOBULIN = re.compile(r"^(IG[HKL][VDJC].*|IGH[ADEGM]\d?P?|IGLL\d+P?|JCHAIN|IGJ)(-\d+)?$")
_MITOCHONDRIAL = re.compile(r"^MT[-.]", re.IGNORECASE)
_RIBOSOMAL = re.compile(r"^(RP[SL]\d+[AXYL]{0,2}\d*|RPSA|RPLP[0-2]|RPS4Y[12])$")
_OTHER_NAMES = frozenset({"previous_symbol", "alias", "typo_map"})


def ensembl_id(text: str) -> str | None:
    """Return the Ensembl gene id without version and ``_PAR_Y``; None if it is not one."""
    match = _ENSEMBL.match(text.strip())
    return match.group(1) if match else None


def is_masked(symbol: str) -> bool:
    """Tell whether a gene is left out of the library size (C0).

    Immunoglobulin, mitochondrial and ribosomal-protein genes: plasma cells spend much of
    their UMIs on immunoglobulin, which would dilute every other gene.
    """
    return any(p.match(symbol) for p in (_IMMUNOGLOBULIN, _MITOCHONDRIAL, _RIBOSOMAL))


@dataclass(frozen=True)
class Gene:
    """A resolved gene and the way it was found."""

    gene_id: str
    symbol: str
    resolution: str


@dataclass
class GeneTable:
    """Names of genes; built once per run by :func:`load_genes`.

    Attributes
    ----------
    symbols
        Ensembl id to approved symbol.
    approved, previous, aliases
        Name to the Ensembl ids it stands for.
    typos
        Curated typing errors to the symbol that was meant.
    file
        Where the names are from, for messages.
    """

    symbols: dict[str, str] = field(default_factory=dict)
    approved: dict[str, str] = field(default_factory=dict)
    previous: dict[str, set[str]] = field(default_factory=dict)
    aliases: dict[str, set[str]] = field(default_factory=dict)
    typos: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, set[str]] = field(default_factory=dict)
    file: str = "gene table"

    def __post_init__(self) -> None:
        self._folded = {s.casefold(): s for s in self.approved}

    def candidates(self, name: str) -> list[str]:
        """Return the symbols an alias may stand for, sorted; one if it is unambiguous."""
        own = {self.symbols[g] for g in self.aliases.get(name, ())}
        return sorted(own | self.elsewhere.get(name, set()))

    def find(self, name: str) -> Gene | None:
        """Resolve a name that means one gene; None if it is unknown or ambiguous."""
        name = name.strip()
        gene_id = ensembl_id(name)
        if gene_id:
            return Gene(gene_id, self.symbols.get(gene_id, gene_id), "ensembl_id")
        symbol = name if name in self.approved else self._folded.get(name.casefold())
        if symbol:
            return Gene(self.approved[symbol], symbol, "approved_symbol")
        former = self.previous.get(name, set())
        if len(former) == 1:
            gene_id = next(iter(former))
            return Gene(gene_id, self.symbols[gene_id], "previous_symbol")
        if len(self.candidates(name)) == 1 and len(self.aliases.get(name, ())) == 1:
            gene_id = next(iter(self.aliases[name]))
            return Gene(gene_id, self.symbols[gene_id], "alias")
        if name in self.typos:
            meant = self.typos[name]
            return Gene(self.approved[meant], meant, "typo_map")
        return None

    def resolve(
        self, name: str, file: str, place: str, context: Mapping[str, str] | None = None
    ) -> Gene:
        """Resolve a name a user wrote.

        Parameters
        ----------
        name
            Ensembl id, symbol or alias.
        file, place
            Where the name stands, for the message.
        context
            What an ambiguous alias means here, for example ``{"CS1": "SLAMF7"}``.

        Raises
        ------
        GeneError
            If the name is unknown (near matches are offered) or ambiguous (candidates are
            listed).
        """
        gene = self.find(name) or self.find((context or {}).get(name, ""))
        if gene:
            return gene
        candidates = self.candidates(name)
        if len(candidates) > 1:
            raise GeneError.one(
                file,
                place,
                f"'{plain(name)}' stands for more than one gene: {listed(candidates)}",
                "write the approved symbol, or say which one under candidates.context",
            )
        near = near_matches(name, [*self.approved, *self.aliases])
        hint = f"did you mean {listed(near)}? " if near else ""
        raise GeneError.one(
            file,
            place,
            f"no gene is called '{plain(name)}'",
            f"{hint}write an approved symbol or an Ensembl id; a gene that {self.file} does not "
            "hold needs its Ensembl id or a gene_reference",
        )

    def identify(self, ids: Sequence[str], symbols: Sequence[str | None]) -> pd.DataFrame:
        """Identify the genes of an atlas column by column; nothing is dropped.

        Parameters
        ----------
        ids
            Identifier of each column as the publisher wrote it, shape ``(n_columns,)``.
        symbols
            Symbol of each column, or None where there is none.

        Returns
        -------
        pandas.DataFrame
            One row per column, as the contract ``ingest/genes`` says. Columns of one gene
            share a ``gene_id`` and are summed later.
        """
        present = {s for s in (*ids, *symbols) if s}
        found = [self._identify(i, s, present) for i, s in zip(ids, symbols, strict=True)]
        sure = {g.gene_id for g in found if g.resolution in ("ensembl_id", "approved_symbol")}
        rows = []
        for column, (original, given, gene) in enumerate(zip(ids, symbols, found, strict=True)):
            if gene.resolution in _OTHER_NAMES and gene.gene_id in sure:
                # The gene stands under its own name too, so the old name means another gene.
                gene = Gene(f"symbol:{given or original}", given or original, "ambiguous")
            symbol = given if given and gene.symbol == gene.gene_id else gene.symbol
            masked = is_masked(symbol) or bool(given and is_masked(given))
            rows.append((column, original, given, gene.gene_id, symbol, gene.resolution, masked))
        return pd.DataFrame(
            rows,
            columns=[
                "column",
                "original_id",
                "original_symbol",
                "gene_id",
                "symbol",
                "resolution",
                "masked",
            ],
        ).astype({"column": "int32", "masked": bool})

    def _identify(self, original: str, given: str | None, present: set[str]) -> Gene:
        by_id = ensembl_id(original)
        if by_id:
            return Gene(by_id, self.symbols.get(by_id, given or by_id), "ensembl_id")
        name = given or original
        gene = self.find(name)
        if gene:
            return gene
        copy = _MADE_UNIQUE.match(name)
        repeated = copy is not None and copy.group(1) in present
        unclear = repeated or len(self.candidates(name)) > 1
        return Gene(f"symbol:{name}", name, "ambiguous" if unclear else "unresolved")


def repeated_symbols(genes: pd.DataFrame) -> list[str]:
    """Return symbols of which an atlas holds a second, made-unique copy, such as ``CD19-1``.

    Nobody can say whether the copy is the gene (C0), so its counts are not added; that makes
    the gene unusable for a panel.
    """
    unclear = genes.loc[genes["resolution"] == "ambiguous", "original_id"]
    bases = unclear.str.extract(_MADE_UNIQUE, expand=False).dropna()
    known = genes[(genes["resolution"] != "unresolved") & genes["original_id"].isin(bases)]
    return sorted(set(known["symbol"]))


def _split(text: str) -> Iterable[str]:
    return (part.strip() for part in text.split("|") if part.strip() and part.strip() != "-")


def load_genes(knowledge: str, gene_reference: str | None = None) -> GeneTable:
    """Read the curated genes and, if given, a reference of all genes.

    Parameters
    ----------
    knowledge
        Folder with ``genes.tsv`` and ``typos.tsv``.
    gene_reference
        TSV (may be gzipped) with ``symbol``, ``ensembl_gene_id`` and ``aliases``
        ('|' between them); ``previous_symbols`` if present.

    Raises
    ------
    KnowledgeError
        If a file cannot be read or two rows claim one symbol.
    """
    curated = f"{knowledge}/genes.tsv"
    table = GeneTable(file=curated)
    required = ("symbol", "ensembl_gene_id", "aliases")
    for record in read_tsv(curated, KnowledgeError, required):
        _add(table, record, curated)
        for entry in _split(record.get("ambiguous_aliases", "")):
            alias, _, others = entry.partition(":")
            table.elsewhere.setdefault(alias, set()).update(others.split("/"))
    if gene_reference:
        for record in read_tsv(gene_reference, KnowledgeError, required):
            if record["ensembl_gene_id"]:
                _add(table, record, gene_reference)
        table.file = f"{curated} or {gene_reference}"
    for record in read_tsv(f"{knowledge}/typos.tsv", KnowledgeError, ("typo", "symbol")):
        table.typos[record["typo"]] = record["symbol"]
    table.__post_init__()
    return table


def _add(table: GeneTable, record: Mapping[str, str], file: str) -> None:
    gene_id, symbol = ensembl_id(record["ensembl_gene_id"]), record["symbol"]
    if gene_id is None:
        remedy = "write an id such as ENSG00000048462"
        raise KnowledgeError.one(file, symbol, "the Ensembl id is not well formed", remedy)
    if table.approved.get(symbol, gene_id) != gene_id:
        return
    table.approved[symbol] = gene_id
    table.symbols.setdefault(gene_id, symbol)
    for name in _split(record.get("previous_symbols", "")):
        table.previous.setdefault(name, set()).add(gene_id)
    for name in _split(record["aliases"]):
        table.aliases.setdefault(name, set()).add(gene_id)


def _context_problems(context: Mapping[str, str], genes: GeneTable, file: str) -> Iterator[Problem]:
    """Refuse a context that would silently score another gene than the one written."""
    for name, meant in context.items():
        own, gene, candidates = genes.find(name), genes.find(meant), genes.candidates(name)
        if own and (gene is None or gene.gene_id != own.gene_id):
            wrong = f"'{plain(name)}' means {own.symbol}, never '{plain(meant)}'"
            yield Problem(file, "candidates.context", wrong, "delete the line")
        elif own is None and (gene is None or gene.symbol not in candidates):
            wrong = f"'{plain(name)}' cannot mean '{plain(meant)}'"
            known = f"pick from: {listed(candidates)}" if candidates else "write the symbol instead"
            yield Problem(file, "candidates.context", wrong, known)


def resolve_panel(indication: Indication, genes: GeneTable, file: str) -> list[Gene]:
    """Return the genes of an indication's panel in the order they were written.

    Parameters
    ----------
    indication
        Names the panel, and what an ambiguous alias means in it.
    genes
        Names of genes.
    file
        Where the indication is written, for messages.

    Raises
    ------
    GeneError
        With every name that is unknown, ambiguous, or means a gene already named, and every
        context that gives a name another meaning than one of its own.
    """
    first: dict[str, str] = {}
    panel: list[Gene] = []
    problems = list(_context_problems(indication.candidates.context, genes, file))
    for name in indication.candidates.panel:
        try:
            gene = genes.resolve(name, file, "candidates.panel", indication.candidates.context)
        except GeneError as error:
            problems += error.problems
            continue
        if gene.gene_id in first:
            wrong = (
                f"'{plain(first[gene.gene_id])}' and '{plain(name)}' are one gene, {gene.symbol}"
            )
            problems.append(Problem(file, "candidates.panel", wrong, "keep one of them"))
            continue
        first[gene.gene_id] = name
        panel.append(gene)
    raise_all(GeneError, problems)
    return panel
