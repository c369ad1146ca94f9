"""Rule simulate_atlas: write a simulated atlas and a manifest as if it had been fetched."""

from targetscore.config import AtlasRow
from targetscore.fetch import describe_local, to_manifest
from targetscore.io import write_json
from targetscore.logs import log_to
from targetscore.simulate import parse_url, write_world

with log_to(snakemake.log[0]) as logger:
    row = AtlasRow.model_validate(snakemake.params.row)
    world = parse_url(row.url, snakemake.params.registry, f"{row.atlas}, column url")
    write_world(world, snakemake.output.atlas)
    logger.info("%s: SIMULATED cells written to %s", row.atlas, snakemake.output.atlas)
    manifest = to_manifest(describe_local(row, snakemake.output.atlas))
    write_json(manifest, snakemake.output.manifest)
