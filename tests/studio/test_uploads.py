"""Uploads are bounded while they arrive, known by their content, and kept under names of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import media_samples
import pytest

from mmfa_components.errors import MediaError
from pipelines.studio.sessions import Session
from pipelines.studio.uploads import TooLargeError, admit, plain_name, receive, sniff

ASSETS = Path(__file__).parents[2] / "pipelines" / "demo"
PORTRAIT, CLIP = ASSETS / "portraits" / "hiker.jpg", ASSETS / "clips" / "smiling_man.mp4"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "own").mkdir()
    return Session("token", tmp_path / "own")


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def put(session: Session, data: bytes) -> Path:
    return asyncio.run(receive(session, "portrait", len(data), pieces(data), 1 << 30))


def test_what_arrives_is_kept_as_it_is(session: Session) -> None:
    data = PORTRAIT.read_bytes()
    upload = admit(put(session, data), "portrait", "../../etc/me.jpg")
    assert upload.path.read_bytes() == data
    assert upload.path.parent == session.folder
    assert upload.path.suffix == ".jpg"
    assert upload.name == "me.jpg"
    assert (upload.info.width, upload.info.height) == (572, 562)
    clip = admit(put(session, CLIP.read_bytes()), "clip", "x.png")
    assert clip.path.suffix == ".mp4"
    assert clip.info.frames == 72


def test_too_much_is_refused_before_and_while_it_arrives_and_nothing_stays(session: Session) -> None:
    seen = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal seen
        while True:
            seen += 1
            yield bytes(1000)

    with pytest.raises(TooLargeError, match="larger than 0 MB"):
        asyncio.run(receive(session, "clip", 5001, endless(), 5000))
    assert seen == 0
    with pytest.raises(TooLargeError):
        asyncio.run(receive(session, "clip", None, endless(), 5000))
    assert seen == 6
    with pytest.raises(TooLargeError):  # a length that is a lie
        asyncio.run(receive(session, "clip", 10, endless(), 5000))
    assert list(session.folder.iterdir()) == []


def test_empty_and_cut_off_bodies_are_refused(session: Session) -> None:
    with pytest.raises(MediaError, match="empty"):
        asyncio.run(receive(session, "clip", 0, pieces(b""), 5000))
    with pytest.raises(MediaError, match="cut off"):
        asyncio.run(receive(session, "clip", 100, pieces(b"x" * 99), 5000))
    assert list(session.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "slot", "words"),
    [
        (b"#!/bin/sh\necho", "portrait", "not a picture the studio can read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "portrait", "not a picture"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n", "clip", "not a video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "clip", "not a video"),
        (PORTRAIT.read_bytes(), "clip", "is a picture; a video is needed here"),
        (CLIP.read_bytes(), "portrait", "is a video; a picture is needed here"),
        (PORTRAIT.read_bytes()[:300], "portrait", "cannot be read"),
        (CLIP.read_bytes()[:9000], "clip", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "portrait", "cannot be read"),
    ],
)
def test_the_content_decides_not_the_name(session: Session, data: bytes, slot: str, words: str) -> None:
    with pytest.raises(MediaError, match=words) as caught:
        admit(put(session, data), slot, "fine.mp4")  # type: ignore[arg-type]
    assert caught.value.fix
    assert str(session.folder) not in caught.value.what + caught.value.fix
    assert list(session.folder.iterdir()) == []


def test_a_picture_of_too_many_pixels_is_refused_unread(session: Session) -> None:
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.new("1", (9000, 7000)).save(buffer, "PNG")
    with pytest.raises(MediaError, match="9000 x 7000 pixels are too many"):
        admit(put(session, buffer.getvalue()), "portrait", "huge.png")


def test_kinds_by_their_first_bytes(tmp_path: Path) -> None:
    for suffix, kind in ((".mp4", "mp4"), (".mov", "mp4"), (".mkv", "matroska"), (".avi", "avi")):
        path = media_samples.clip(tmp_path / f"x{suffix}", 3)
        assert sniff(path.read_bytes()[:64]) == kind
    assert sniff(b"RIFF0000WEBPVP8 ") == "webp"
    assert sniff(b"\0\0\0\x1cftypavif") is None
    assert sniff(b"") is None


def test_names_are_for_the_eye_only() -> None:
    assert plain_name("C:\\fakepath\\my photo (1).JPEG", "portrait", ".jpg") == "my photo (1).JPEG"
    assert plain_name('a"b<c>\n{here}.png', "portrait", ".png") == "a_b_c___here_.png"
    assert plain_name("..", "clip", ".mp4") == "clip.mp4"
    assert plain_name("x" * 300 + ".mp4", "clip", ".mp4") == "x" * 120 + ".mp4"
    assert plain_name("名" * 300 + ".mp4", "clip", ".mp4") == "名" * 40 + ".mp4"
    assert plain_name("Zoë 名.webp", "portrait", ".webp") == "Zoë 名.webp"
