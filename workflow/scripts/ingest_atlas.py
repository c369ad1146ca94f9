"""Rule ingest_atlas: decide who is who."""

from targetscore.config import AtlasRow
from targetscore.contracts import CELLS, GENES, REJECTED
from targetscore.fetch import from_manifest
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas
from targetscore.io import read_json, write_json, write_table
from targetscore.logs import log_to
from targetscore.provenance import stamp

with log_to(snakemake.log[0]) as logger:
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(snakemake.input.manifest))
    genes = load_genes(**snakemake.params.genes)
    found = ingest_atlas(row, fetched.location, genes, snakemake.params.registry)
    made_of = stamp(snakemake.params.library, row.model_dump(), [fetched.sha256])
    write_table(found.cells, snakemake.output.cells, CELLS, made_of)
    write_table(found.rejected, snakemake.output.rejected, REJECTED, made_of)
    write_table(found.genes, snakemake.output.genes, GENES, made_of)
    write_json(found.summary, snakemake.output.summary)
    kept, read = found.summary["n_cells_kept"], found.summary["n_cells"]
    logger.info("%s: %s of %s cells kept", row.atlas, f"{kept:,}", f"{read:,}")
    for reason, n in found.summary["rejected"].items():
        logger.info("%s: %s cells rejected: %s", row.atlas, f"{n:,}", reason)
    for note in found.summary["reading"]:
        logger.info("%s: %s", row.atlas, note)
