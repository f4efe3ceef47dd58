"""What a weights file says of itself: its licence, version and source, written into the metadata of a copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmfa_components.errors import WeightsError
from mmfa_components.weights import metadata, read_weights, write_weights

LABELS = ("license", "version", "source")


def label_weights(file: Path, output: Path, labels: Mapping[str, str]) -> dict[str, str]:
    """Write ``file`` with ``labels`` added to its metadata to ``output``, atomically, and return the metadata; tensors stay as they are.

    labels: any of ``LABELS``. Raises WeightsError for a damaged file, an unknown label or none; OutputError when it cannot be written.
    """
    given = {key: value.strip() for key, value in labels.items() if value.strip()}
    unknown = [key for key in given if key not in LABELS]
    if unknown or not given:
        what = f"there is no label {unknown[0]!r}" if unknown else "no label is given"
        raise WeightsError(what, where="label", fix=f"give {', '.join(f'--{name}' for name in LABELS)}")
    notes = metadata(file)
    tensors = read_weights(file, notes.get("architecture", ""))
    notes |= given
    write_weights(output, tensors, notes)
    return notes
