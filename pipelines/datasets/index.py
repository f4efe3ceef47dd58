"""The index of a data set: which clips it holds, whose they are, and what was rejected and why."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs

from mmfa_components.errors import DatasetError, reason_of

FORMAT = "mmfa-dataset/1"
INDEX, STORE = "index.json", "store"


@attrs.frozen
class ClipEntry:
    """One clip or portrait. key: digest of its record in the store.  side: of the face's square in the original, pixels."""

    file: str
    identity: str
    split: str
    frames: int
    side: float
    key: str


@attrs.frozen
class Rejected:
    """A file that is not in the data set. failed: the file itself is bad; else its content is not good enough."""

    file: str
    reason: str
    failed: bool = False


@attrs.define
class DatasetIndex:
    """All clips of a data set, in the order of the sources. crop: side of the crops in pixels."""

    crop: int
    clips: list[ClipEntry] = attrs.field(factory=list)
    rejected: list[Rejected] = attrs.field(factory=list)
    made_with: dict[str, Any] = attrs.field(factory=dict)

    def write(self, folder: Path) -> None:
        """Write the index into the data set's folder; atomic. Raises DatasetError."""
        partial = folder / f".{INDEX}.{os.getpid()}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"format": FORMAT, **attrs.asdict(self)}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            partial.replace(folder / INDEX)
        except OSError as error:
            partial.unlink(missing_ok=True)
            fix = "free space or choose another folder"
            raise DatasetError(f"the index cannot be written ({reason_of(error)})", where=str(folder), fix=fix) from error

    @classmethod
    def read(cls, folder: Path) -> DatasetIndex:
        """Read the index of a data set. Raises DatasetError when there is none or it cannot be understood."""
        path, fix = folder / INDEX, "make it with: mmfa run prepare_dataset --set output.folder=FOLDER"
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            if body.pop("format") != FORMAT:
                raise DatasetError(f"is no {FORMAT} index", where=str(path), fix=fix)
            clips = [ClipEntry(**c) for c in body.pop("clips")]
            rejected = [Rejected(**c) for c in body.pop("rejected")]
            return cls(clips=clips, rejected=rejected, **body)
        except OSError as error:
            raise DatasetError(f"there is no data set here ({reason_of(error)})", where=str(path), fix=fix) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(f"the index is damaged ({error})", where=str(path), fix=fix) from error
