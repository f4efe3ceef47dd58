"""The studio as a person meets it: a real browser, the real server, the shipped model."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shutil
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.media import probe, read_metadata

ROOT = Path(__file__).parents[2]
HIKER = ROOT / "pipelines" / "demo" / "portraits" / "hiker.jpg"
PORTRAIT, CLIP = "input[type=file] >> nth=0", "input[type=file] >> nth=1"


@pytest.fixture
def page(chromium: Any, server: Any) -> Iterator[Any]:
    """An open page. No request may leave the machine, and the console must stay free of errors of ours."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    foreign: list[str] = []
    faults: list[str] = []
    own = (server.address, server.address.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(server.address)
    page.wait_for_selector(".desk")
    yield page
    context.close()
    assert foreign == []
    assert faults == []


def picture(page: Any) -> str:
    source: str = page.get_attribute("#posed", "src")
    return source


def changed(page: Any, before: str) -> float:
    """Wait until the preview differs; gives the seconds it took."""
    start = time.monotonic()
    page.wait_for_function("before => document.querySelector('#posed').src !== before", arg=before)
    return time.monotonic() - start


def with_portrait(page: Any) -> None:
    page.set_input_files(PORTRAIT, HIKER)
    page.wait_for_selector("figcaption:has-text('Preview · ')")


def test_an_empty_page_says_what_to_do(page: Any) -> None:
    text = page.inner_text("body")
    assert "Drop a portrait to begin" in text
    assert "Animate only faces of people who agreed to it" in text
    assert page.is_disabled("text=Make the picture")
    assert page.get_by_label("Turn (yaw)", exact=True).is_disabled()


def test_a_slider_moves_the_picture_by_mouse_and_by_keys_and_reset_brings_it_back(page: Any) -> None:
    with_portrait(page)
    straight = picture(page)
    slider = page.get_by_label("Turn (yaw)", exact=True)
    slider.fill("20")
    changed(page, straight)
    assert slider.get_attribute("aria-valuetext") == "20° right"
    page.wait_for_timeout(800)
    turned = picture(page)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    took = changed(page, turned)
    assert took < 5, f"{took:.2f} s"  # alone it is a quarter of a second; the machine may be busy with other tests
    page.get_by_label("Scale", exact=True).fill("1.3")
    page.wait_for_timeout(800)
    now = picture(page)
    page.click("text=Reset all")
    changed(page, now)
    page.wait_for_function("want => document.querySelector('#posed').src === want", arg=straight)
    assert slider.input_value() == "0"


def test_a_drag_does_not_queue_up(page: Any) -> None:
    with_portrait(page)
    slider = page.get_by_label("Nod (pitch)", exact=True)
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    shown: set[str] = set()
    moves = 0
    while moves < 80 or (len(shown) < 3 and moves < 2000):  # it follows while the slider moves
        moves += 1
        share = 0.5 + 0.4 * abs(moves % 160 - 80) / 80
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
        page.wait_for_timeout(15)
        shown.add(picture(page))
    page.mouse.up()
    assert 3 <= len(shown) <= moves / 2  # not every step is drawn
    after: list[str] = [picture(page)]
    since = time.monotonic()
    while time.monotonic() - since < 3:  # until nothing has come for three seconds
        if picture(page) != after[-1]:
            after.append(picture(page))
            since = time.monotonic()
        page.wait_for_timeout(20)
    assert len(after) <= 4  # what was under way, and the last ones: no queue


def test_a_run_gives_video_motion_and_a_recipe_that_makes_the_same_bytes(page: Any, clip: Path, tmp_path: Path) -> None:
    with_portrait(page)
    page.set_input_files(CLIP, clip)
    page.wait_for_selector("text=Make the video")
    page.wait_for_selector("button:has-text('Make the video'):not([disabled])")
    page.get_by_label("Turn (yaw)", exact=True).fill("6")
    page.locator("fieldset:has(legend:text-is('Position')) label:has-text('Portrait')").click()
    page.locator("fieldset:has(legend:text-is('Mouth')) label:has-text('Portrait')").click()
    page.wait_for_timeout(500)
    page.click("text=Make the video")
    page.wait_for_selector(".progress__text:visible")
    page.wait_for_selector(".compare video")
    page.wait_for_function("[...document.querySelectorAll('.compare video')].every(v => v.readyState > 1 && v.duration > 0.1)")
    with page.expect_download() as download:
        page.click("text=Everything (ZIP)")
    packed = tmp_path / "all.zip"
    download.value.save_as(packed)
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "home")
    assert names == {"studio.toml", "hiker.jpg", "laughing.mp4", "result/hiker__laughing.mp4", "result/hiker__laughing.motion.zip"}
    video = tmp_path / "home" / "result" / "hiker__laughing.mp4"
    info = probe(video)
    assert (info.width, info.height, info.frames) == (256, 256, 6)
    assert "synthetic" in read_metadata(video)["synthetic"]
    recipe = (tmp_path / "home" / "studio.toml").read_text(encoding="utf-8")
    assert "[motion.yaw]" in recipe
    assert "offset = -6.0" in recipe
    assert str(tmp_path) not in recipe
    assert "/tmp" not in recipe
    command = [sys.executable, "-m", "pipelines.run", "studio.toml", "--json", "--set", "cache.mode=off"]
    done = subprocess.run(command, cwd=tmp_path / "home", capture_output=True, text=True, check=True)
    again = tmp_path / "home" / json.loads(done.stdout)["jobs"][0]["output"]
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(video.read_bytes()).digest()


def test_a_run_can_be_cancelled(page: Any, clip: Path) -> None:
    with_portrait(page)
    page.set_input_files(CLIP, clip)
    page.wait_for_selector("button:has-text('Make the video'):not([disabled])")
    page.click("text=Make the video")
    page.click("text=Cancel")
    page.wait_for_selector("text=Cancelled. Nothing was kept.")
    assert not page.is_disabled("text=Make the video")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("README", "This file is not a picture the studio can read."),
        ("clip", "This file is a video; a picture is needed here."),
        ("faceless", "No face was found in this image."),
        ("cut", "This file cannot be read"),
        ("large", "This file is larger than 2 MB."),
    ],
)
def test_a_bad_upload_gives_a_message(page: Any, tmp_path: Path, clip: Path, content: str, words: str) -> None:
    from disc_media import write_portrait

    path = tmp_path / "me.jpg"
    if content == "README":
        path.write_bytes((ROOT / "README.md").read_bytes())
    elif content == "clip":
        shutil.copyfile(clip, path)
    elif content == "faceless":
        write_portrait(tmp_path / "me.png").replace(path)
    elif content == "cut":
        path.write_bytes(HIKER.read_bytes()[:2000])
    else:
        path.write_bytes(HIKER.read_bytes() + bytes(3 << 20))
    page.set_input_files(PORTRAIT, path)
    message = page.locator(".drop__message")
    message.wait_for()
    assert words in message.inner_text()
    assert page.get_by_role("alert").first.is_visible()
    page.set_input_files(PORTRAIT, HIKER)
    page.wait_for_selector("figcaption:has-text('Preview · ')")
    assert message.count() == 0


def test_the_server_itself_refuses_what_is_too_large_and_strangers(page: Any, server: Any) -> None:
    url = page.evaluate("performance.getEntriesByType('navigation')[0].name")
    assert url == server.address
    upload = re.search(r"/studio/[\w-]+/upload/portrait", page.content())
    assert upload
    for headers, status in (
        ({"Content-Length": str(3 << 20)}, 413),
        ({"Content-Length": "1", "Origin": "http://evil.example"}, 403),
        ({"Content-Length": "1", "Host": "evil.example"}, 421),
    ):
        assert ask(server, "POST", upload[0], headers) == status
    for path in ("/studio/nobody/file/x", upload[0].replace("upload/portrait", "file/..%2F..%2Fetc%2Fpasswd")):
        assert ask(server, "GET", path) == 404


def ask(server: Any, method: str, path: str, headers: dict[str, str] | None = None) -> int:
    """The status of a request whose body, if any, is never sent."""
    connection = http.client.HTTPConnection("127.0.0.1", int(server.address.rstrip("/").rpartition(":")[2]), timeout=30)
    connection.putrequest(method, path, skip_host="Host" in (headers or {}))
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_pages_do_not_see_each_other_and_files_go_with_their_page(chromium: Any, server: Any, page: Any) -> None:
    with_portrait(page)
    other = chromium.new_context().new_page()
    other.goto(server.address)
    other.wait_for_selector(".desk")
    assert "hiker.jpg" not in other.inner_text("body")
    other.set_input_files(PORTRAIT, HIKER)
    other.wait_for_selector("figcaption:has-text('Preview · ')")
    shown = other.get_attribute(".drop__picture img", "src")
    assert shown.split("/")[2] not in page.content()
    assert ask(server, "GET", shown) == 200
    (root,) = server.temporary.glob("mmfa-studio-*")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    other.context.close()
    deadline = time.monotonic() + 30
    while (status := ask(server, "GET", shown)) == 200 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert status == 404, "the files of a closed page are still there"


def test_the_page_fits_a_narrow_screen(page: Any) -> None:
    page.set_viewport_size({"width": 420, "height": 900})
    with_portrait(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(page: Any) -> None:
    with_portrait(page)
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, a[href]')].filter(e => e.offsetParent !== null
             && !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.innerText.trim()).map(e => e.outerHTML)"""
    )
    assert nameless == []
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).innerText.split('\\n')[0].trim()"))
    assert {"Turn (yaw)", "Shift along (y)", "Reset all", "Make the picture"} <= reached


def test_zz_ctrl_c_ends_it_and_leaves_nothing(server: Any) -> None:
    import signal

    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    assert list(server.temporary.glob("mmfa-*")) == []
    assert server.process.stderr.read() == ""
