"""Profile: read the raw counts once and keep sufficient statistics per group and gene.

:mod:`~targetscore.profile.packing` reads an atlas, or a shard of it, into a pack;
:mod:`~targetscore.profile.merging` adds the packs up. They are jobs of their own, and neither
imports what only the other needs.
"""
