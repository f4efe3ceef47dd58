"""Video and image input and output: the only room that imports av. Frames are streamed; memory does not grow with a clip's length."""

from pipelines.media.containers import CONTAINERS, STILLS, check_container, suffix_of
from pipelines.media.digest import content_digest
from pipelines.media.images import StillImage, read_image, write_image
from pipelines.media.notes import read_metadata
from pipelines.media.partial import remove_leftovers
from pipelines.media.probe import MediaInfo, probe, require_image, require_video
from pipelines.media.segments import SEGMENT, Coding, Segment, SegmentEncoder, encoder_facts
from pipelines.media.video_read import VideoFrame, VideoReader, VideoSpan, open_video
from pipelines.media.video_write import VideoWriter, check_codec

__all__ = [
    "CONTAINERS",
    "SEGMENT",
    "STILLS",
    "Coding",
    "MediaInfo",
    "Segment",
    "SegmentEncoder",
    "StillImage",
    "VideoFrame",
    "VideoReader",
    "VideoSpan",
    "VideoWriter",
    "check_codec",
    "check_container",
    "content_digest",
    "encoder_facts",
    "open_video",
    "probe",
    "read_image",
    "read_metadata",
    "remove_leftovers",
    "require_image",
    "require_video",
    "suffix_of",
    "write_image",
]  # fmt: skip
