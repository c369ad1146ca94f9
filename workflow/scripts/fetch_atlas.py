"""Rule fetch_atlas: bring an atlas and write down where it is."""

from targetscore.config import AtlasRow
from targetscore.fetch import Progress, fetch_atlas, to_manifest
from targetscore.io import write_json
from targetscore.logs import log_to

with log_to(snakemake.log[0]):
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = fetch_atlas(row, snakemake.params.registry, snakemake.params.folder, Progress())
    write_json(to_manifest(fetched), snakemake.output.manifest)
