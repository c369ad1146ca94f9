"""Read the raw counts once: sufficient statistics per donor × cell group and gene.

Files expected: results/fetch/{atlas}/manifest.json and results/ingest/{atlas}/.
Files produced: results/profile/{atlas}/{groups,expression}.parquet; all genes, always. The
packs in results/profile/{atlas}/shards/ are deleted when nothing needs them any more.
Configuration: the section profile.
"""


rule profile_shard:
    input:
        manifest="<results>/fetch/{atlas}/manifest.json",
        simulated=simulated_file,
        cells="<results>/ingest/{atlas}/cells.parquet",
        doublets="<results>/ingest/{atlas}/doublets.parquet",
        removed="<results>/ingest/{atlas}/removed.parquet",
        genes="<results>/ingest/{atlas}/genes.parquet",
    output:
        pack=packed("<results>/profile/{atlas}/shards/{shard}-of-{n_shards}.pack"),
    log:
        "<logs>/profile_shard/{atlas}_{shard}-of-{n_shards}.log",
    benchmark:
        "<benchmarks>/profile_shard/{atlas}_{shard}-of-{n_shards}.jsonl"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        row=atlas_row,
        library=code_fingerprint(
            "targetscore.profile", "targetscore.packs", "targetscore.formats"
        ),
    script:
        "../scripts/profile_shard.py"


rule merge_profile:
    input:
        manifest="<results>/fetch/{atlas}/manifest.json",
        cells="<results>/ingest/{atlas}/cells.parquet",
        doublets="<results>/ingest/{atlas}/doublets.parquet",
        removed="<results>/ingest/{atlas}/removed.parquet",
        genes="<results>/ingest/{atlas}/genes.parquet",
        packs=atlas_packs,
    output:
        groups="<results>/profile/{atlas}/groups.parquet",
        expression="<results>/profile/{atlas}/expression.parquet",
    log:
        "<logs>/merge_profile/{atlas}.log",
    benchmark:
        "<benchmarks>/merge_profile/{atlas}.jsonl"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        row=atlas_row,
        library=code_fingerprint(
            "targetscore.profile", "targetscore.packs", "targetscore.libraries"
        ),
    script:
        "../scripts/merge_profile.py"


rule panel_counts:
    input:
        manifest="<results>/fetch/{atlas}/manifest.json",
        cells="<results>/ingest/{atlas}/cells.parquet",
        doublets="<results>/ingest/{atlas}/doublets.parquet",
        removed="<results>/ingest/{atlas}/removed.parquet",
        genes="<results>/ingest/{atlas}/genes.parquet",
        packs=atlas_packs,
    output:
        panel="<results>/profile/{atlas}/panel.parquet",
    log:
        "<logs>/panel_counts/{atlas}.log",
    benchmark:
        "<benchmarks>/panel_counts/{atlas}.jsonl"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        row=atlas_row,
        genes=gene_settings,
        indications=atlas_indications,
        library=code_fingerprint(
            "targetscore.profile", "targetscore.packs", "targetscore.detections"
        ),
    script:
        "../scripts/panel_counts.py"
