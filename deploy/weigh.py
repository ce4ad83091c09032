"""The size report of a board's bundle: what is weighed is what would be packed."""

from __future__ import annotations

from deploy import sizes
from deploy.bundle import Bundle
from deploy.decision import DedupePlan
from deploy.sizes import Report
from recipes.elfsections import sections


def weigh(made: Bundle, decided: DedupePlan) -> Report:
    """Read a bundle back and weigh each of its files."""
    blobs = made.blobs()
    contents = {file.path: blobs[file.blob] for file in made.manifest.files}
    kinds = {path: sizes.kinds(found) for path, data in contents.items() if (found := sections(data))}
    return sizes.measure(contents, kinds, decided)
