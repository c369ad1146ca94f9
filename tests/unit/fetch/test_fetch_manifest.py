"""The one checksum of an atlas: of its file, its archive, or its folder."""

from targetscore.fetch import Fetched, FetchedFile
from targetscore.fetch.manifest import folder_checksum


def fetched(location: str, *paths: str) -> Fetched:
    files = tuple(FetchedFile(p, "url", 1, str(i) * 64) for i, p in enumerate(paths, 1))
    return Fetched("a", "1", location, files, "pinned")


def test_checksum_of_file_archive_and_folder():
    assert fetched("d/x.h5ad", "d/x.h5ad").sha256 == "1" * 64
    assert fetched("d/x", "d/x.tar").sha256 == "1" * 64
    assert fetched("d", "d/x").sha256 == folder_checksum([("x", "1" * 64)])
    both = folder_checksum([("x", "1" * 64), ("s/y", "2" * 64)])
    assert fetched("d", "d/x", "d/s/y").sha256 == both
