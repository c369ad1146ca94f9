"""How many jobs read an atlas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from targetscore.config.models import AtlasRow

__all__ = ["shards_of"]

_CUTTABLE = ("h5ad", "loom", "tenx_h5", "soma")
_CELLS, _BYTES = 1_000_000, 4_000_000_000


def shards_of(row: AtlasRow, setting: int | Literal["auto"], files: Sequence[str]) -> int:
    """Return into how many ranges of rows an atlas is cut, each read by a job of its own.

    It depends on the configuration and on local files only, so that it is the same before
    and after an atlas was fetched.

    Parameters
    ----------
    row
        Registry row of the atlas; ``n_cells`` is honoured.
    setting
        ``profile.shards``: a number, or ``auto`` for one per million cells or 4 GB.
    files
        Local files of the atlas, none if it must be fetched.
    """
    if row.format not in _CUTTABLE:
        return 1  # text is read from its beginning in any case
    if setting != "auto":
        return setting
    if row.n_cells:
        return max(1, -(-int(row.n_cells) // _CELLS))
    sizes = [path.stat().st_size for path in map(Path, files) if path.is_file()]
    return max(1, -(-sum(sizes) // _BYTES))
