"""What is wrong with a video, found while it is read."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pipelines.media.display import orientation_of
from pipelines.media.opening import picture_stream
from pipelines.media.probe import MediaInfo, told_duration

MOST_NAMED = 4
JOINED = 3
"""Frames by which timestamps fall at least where two recordings were joined."""
HIDING = ("vp8",)
"""Codecs with packets that show no frame."""
EARLY = Fraction(1, 2)
"""Seconds by which a picture must end before the time its file names to be called cut off."""


class Faults:
    """Gathers what is wrong with one clip. ends: why the reading ended, where it did not end well."""

    def __init__(self, info: MediaInfo) -> None:
        self.info = info
        self.ends = ""
        self._step = max(1, round(1 / (info.rate * info.time_base)))
        self._failed = 0
        self._waiting: dict[tuple[int, int], None] = {}  # recording and timestamp of packets whose frames have not come
        self._read = self._shown = 0  # numbers of recordings that were joined: of packets, of frames
        self._decoding: int | None = None  # decoding time of a packet
        self._first: int | None = None  # timestamp of the recording's first frame
        self._last: int | None = None  # and of the latest one
        self._lost: list[int] = []
        self._sizes: list[tuple[int, tuple[int, int]]] = []
        self._cut = ""

    def begin(self) -> None:
        """The file is read from some place on (again)."""
        self._failed = self._read = self._shown = 0
        self._first = self._last = self._decoding = None
        self._waiting.clear()
        self._lost.clear()

    def packet(self, packet: Any) -> None:
        """A packet was read."""
        if packet.dts is not None:
            if self._decoding is not None and self._decoding - packet.dts >= JOINED * self._step:
                self._read += 1
            self._decoding = packet.dts
        if packet.size and packet.pts is not None and not packet.is_discard and self.info.codec not in HIDING:
            self._waiting[self._read, packet.pts] = None

    def failed(self) -> None:
        """A packet, this one or one a little before it, could not be decoded."""
        self._failed += 1

    def frame(self, pts: int | None) -> bool:
        """A frame was decoded. False when one that is shown before it did not come."""
        if pts is None:
            return True
        if self._last is not None and self._last - pts >= JOINED * self._step:
            self._shown, self._first = self._shown + 1, None
        self._last = pts
        here = (self._shown, pts)
        self._waiting.pop(here, None)
        late = [key for key in self._waiting if key < here]  # frames come in the order they are shown in
        for key in late:
            del self._waiting[key]
        lost = [stamp for number, stamp in late if number == self._shown]
        if self._first is None:
            self._first = pts
            missing = [] if not self._failed else lost  # others rest on what lies before the beginning
        else:
            missing = [t for t in lost if t > self._first]
        self._lost += missing
        return not missing

    def tail(self) -> bool:
        """All packets were decoded. False when frames at the end did not come."""
        missing = [] if self._first is None else [t for number, t in self._waiting if number == self._shown and t > self._first]
        self._lost += missing
        self._waiting.clear()
        return not missing

    def size_at(self, frame: Any, number: int) -> None:
        """Note the size of frame ``number`` where it is another than before."""
        size = orientation_of(frame).size(frame.width, frame.height)
        if not self._sizes or (self._sizes[-1][1] != size and number > self._sizes[-1][0]):
            self._sizes.append((number, size))

    def ended(self, container: Any, last: int | None) -> None:
        """The whole file was read; ``last``: timestamp of its last frame."""
        stream = picture_stream(container)
        told = told_duration(stream)
        if container.size and any(e.pos + e.size > container.size for e in stream.index_entries):
            self._cut = "the file is cut off, its index names more than is there"
        elif "avi" in container.format.name and last is not None and last + 2 < stream.frames:
            self._cut = f"the file is cut off, it holds {last + 1} of its {stream.frames} frames"
        elif told is not None and last is not None and (last + 1) * self.info.time_base + EARLY < told:
            self._cut = f"the file is cut off, its picture should last {float(told):.2f} s"
        elif self.ends:
            self._cut = f"reading it ended early ({self.ends})"

    @property
    def text(self) -> str:
        """All of it in words, "" when nothing is wrong."""
        parts = []
        if self._failed or self._lost:
            lost = sorted(set(self._lost))
            named = ", ".join(f"{float(t * self.info.time_base):.2f} s" for t in lost[:MOST_NAMED])
            more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
            count = max(len(lost), 1)
            what = "a frame cannot be decoded and is" if count == 1 else f"{count} frames cannot be decoded and are"
            parts.append(f"{what} left out" + (f", at {named}{more}" if named else ""))
        if len(self._sizes) > 1:
            first = self._sizes[0][1]
            changes = ", ".join(f"{w} x {h} from frame {n}" for n, (w, h) in self._sizes[1 : 1 + MOST_NAMED])
            shown = f"{self.info.width} x {self.info.height}"
            parts.append(f"the size of the picture changes ({first[0]} x {first[1]}, {changes}); all is shown at {shown}")
        if self._cut:
            parts.append(f"{self._cut}; the frames up to there are used")
        return "; ".join(parts)
