"""Rule render_report: draw the scores of an indication."""

from targetscore import contracts
from targetscore.config import Indication, Scoring
from targetscore.fetch import from_manifest
from targetscore.io import read_json, read_table, write_text
from targetscore.knowledge import load_knowledge
from targetscore.logs import log_to
from targetscore.provenance import package_versions
from targetscore.report import ReportData, render_report

TABLES = (
    "evidence",
    "toxicity",
    "coverage",
    "shedding",
    "components",
    "ranking",
    "robustness",
    "outranks",
    "levels",
)

with log_to(snakemake.log[0]):
    given, read = snakemake.params, snakemake.input
    sums = [from_manifest(read_json(manifest)).sha256 for manifest in read.manifests]
    looks = map(read_json, read.samples)
    summaries = zip(map(read_json, read.summaries), looks, sums, strict=True)
    held = [from_manifest(read_json(path)).sha256 for path in read.reference_manifests]
    levels = zip(map(read_json, read.references), held, strict=True)
    data = ReportData(
        name=snakemake.wildcards.indication,
        indication=Indication.model_validate(given.indication),
        knowledge=load_knowledge(given.knowledge),
        scoring=Scoring.model_validate(given.scoring),
        atlases=[summary | look | {"sha256": sha256} for summary, look, sha256 in summaries],
        references=[summary | {"sha256": sha256} for summary, sha256 in levels],
        provenance={
            "package_versions": package_versions(),
            "code_fingerprint": given.code,
            "config_digest": given.digest,
        },
        **{name: read_table(read[name], getattr(contracts, name.upper())) for name in TABLES},
    )
    write_text(render_report(data), snakemake.output.report)
