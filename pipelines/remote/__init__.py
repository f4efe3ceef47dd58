"""Files at URLs (s3://, gs://, any that fsspec knows): staged on the local disk to be read, uploaded when they are finished."""

from pipelines.remote.staging import is_staged, is_url, list_urls, present, staged_input, staged_output, url_of
from pipelines.remote.uploads import check_writable, is_uploaded, read_marker, upload

__all__ = [
    "check_writable",
    "is_staged",
    "is_uploaded",
    "is_url",
    "list_urls",
    "present",
    "read_marker",
    "staged_input",
    "staged_output",
    "upload",
    "url_of",
]
