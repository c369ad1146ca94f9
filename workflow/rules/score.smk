"""Score the antigens of an indication from the profiles; no cell is read again.

Files expected: results/profile/{atlas}/ and results/ingest/{atlas}/{genes,ambient,
ambient_rates}.parquet of every atlas of the indication, results/ingest/{reference}/levels.parquet
of its aggregated references, and the curated tables.
Files produced: results/score/{indication}/, described in targetscore.contracts.
Configuration: the indication's YAML, the section scoring and, with references, levels.
"""


rule score_indication:
    input:
        groups=indication_groups,
        expression=indication_expression,
        genes=indication_genes,
        ambient=indication_ambient,
        ambient_rates=indication_ambient_rates,
        summaries=indication_summaries,
        references=lambda wildcards: reference_files(
            wildcards, "<results>/ingest/{reference}/levels.parquet"
        ),
        knowledge=curated_files,
    output:
        evidence="<results>/score/{indication}/evidence.parquet",
        toxicity="<results>/score/{indication}/toxicity.parquet",
        coverage="<results>/score/{indication}/coverage.parquet",
        shedding="<results>/score/{indication}/shedding.parquet",
        components="<results>/score/{indication}/components.parquet",
        ranking="<results>/score/{indication}/ranking.parquet",
        robustness="<results>/score/{indication}/robustness.parquet",
        outranks="<results>/score/{indication}/outranks.parquet",
        levels="<results>/score/{indication}/levels.parquet",
        ranking_tsv="<results>/score/{indication}/ranking.tsv",
    log:
        "<logs>/score_indication/{indication}.log",
    benchmark:
        "<benchmarks>/score_indication/{indication}.jsonl"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        indication=indication_settings,
        atlases=lambda wildcards: RUN.indications[wildcards.indication].atlases,
        references=lambda wildcards: RUN.indications[wildcards.indication].references,
        levels=level_settings,
        simulated=indication_simulated,
        genes=gene_settings,
        scoring=scoring_settings,
        digest=run_digest,
        library=code_fingerprint(
            "targetscore.score", "targetscore.knowledge", "targetscore.libraries"
        ),
    script:
        "../scripts/score_indication.py"
