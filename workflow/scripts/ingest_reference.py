"""Rule ingest_reference: read the levels of an aggregated reference."""

from targetscore.config import AtlasRow
from targetscore.contracts import REFERENCE_LEVELS
from targetscore.errors import plain
from targetscore.fetch import from_manifest
from targetscore.genes import load_genes
from targetscore.ingest.references import ingest_reference
from targetscore.io import read_json, write_json, write_table
from targetscore.logs import log_to
from targetscore.provenance import stamp

with log_to(snakemake.log[0]) as logger:
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(snakemake.input.manifest))
    genes = load_genes(**snakemake.params.genes)
    found = ingest_reference(row, fetched.location, genes, snakemake.params.registry)
    made_of = stamp(snakemake.params.library, row.model_dump(), [fetched.sha256])
    write_table(found.levels, snakemake.output.levels, REFERENCE_LEVELS, made_of)
    write_json(found.summary, snakemake.output.summary)
    said = found.summary
    counts = f"{said['n_levels']:,} levels of {said['n_genes']:,} genes"
    logger.info("%s: %s under %s labels", row.atlas, counts, said["n_labels_used"])
    for label in said["unmapped_labels"]:
        logger.info("%s: label without a term, not used: %s", row.atlas, plain(label))
