"""Several real processes on one cache, and processes killed in the middle of a write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sample_records import key_of, make, same

from cache import RecordCache
from cache.gc import collect
from mmfa_components.records import Motion

# argv: cache folder, seed, comma-separated names of inputs, gate file to wait for, seconds of pause between spans
WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from sample_records import key_of, make
from cache import RecordCache
from mmfa_components.records import Motion

folder, seed, names, gate, pause = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), Path(sys.argv[4]), float(sys.argv[5])
cache = RecordCache(folder, on_event=print)
print("ready", flush=True)
while not gate.exists():
    time.sleep(0.001)
for name in names:
    key = key_of(Motion, name=name, input_digest=name)
    with cache.writer(key, Motion) as writer:
        for span in make(Motion, 5000, seed).spans(500):
            writer.append(span)
            print("span", flush=True)
            time.sleep(pause)
    got = cache.get(key)
    assert got is not None and len(got) == 5000, name
print("done", flush=True)
"""


def _start(folder: Path, gate: Path, seed: int, names: str, pause: float = 0.0) -> subprocess.Popen[str]:
    code = WRITER.format(here=str(Path(__file__).parent))
    arguments = [sys.executable, "-c", code, str(folder), str(seed), names, str(gate), str(pause)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def _wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"the writer ended ({process.wait()}) without saying {word!r}")


def test_two_processes_write_the_same_key_and_others_at_once(tmp_path: Path) -> None:
    folder, gate = tmp_path / "cache", tmp_path / "gate"
    first, second = _start(folder, gate, 1, "shared,a,b"), _start(folder, gate, 2, "shared,c,d")
    try:
        for process in (first, second):
            _wait_for(process, "ready")
        gate.touch()
        texts = [process.communicate(timeout=60)[0] for process in (first, second)]
    finally:
        first.kill()
        second.kill()
    assert [first.returncode, second.returncode] == [0, 0], texts
    assert not any("damaged" in text for text in texts)
    cache = RecordCache(folder)
    shared = cache.get(key_of(Motion, input_digest="shared"))
    assert shared is not None
    assert any(same(shared, make(Motion, 5000, seed)) for seed in (1, 2)), "the entry is a mixture"
    for name, seed in {"a": 1, "b": 1, "c": 2, "d": 2}.items():
        got = cache.get(key_of(Motion, input_digest=name))
        assert got is not None
        assert same(got, make(Motion, 5000, seed))
    assert list((folder / "v1" / "tmp").iterdir()) == []


def test_a_killed_writer_leaves_no_entry_and_the_next_run_completes(tmp_path: Path) -> None:
    folder, gate = tmp_path / "cache", tmp_path / "gate"
    gate.touch()
    process = _start(folder, gate, 1, "clip", pause=0.2)
    try:
        _wait_for(process, "span")
        _wait_for(process, "span")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    leftovers = list((folder / "v1" / "tmp").iterdir())
    assert len(leftovers) == 1
    cache, key = RecordCache(folder), key_of(Motion, input_digest="clip")
    assert cache.get(key) is None

    again = _start(folder, gate, 1, "clip")
    assert again.communicate(timeout=60)[0].endswith("done\n")
    got = cache.get(key)
    assert got is not None
    assert same(got, make(Motion, 5000, 1))
    assert list((folder / "v1" / "tmp").iterdir()) == leftovers
    assert [r.why for r in collect(folder).removed] == ["leftover"]
    assert list((folder / "v1" / "tmp").iterdir()) == []
    assert cache.get(key) is not None


def test_killed_at_many_moments_a_reader_sees_all_or_nothing(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    for moment in range(4):
        folder = tmp_path / f"cache{moment}"
        process = _start(folder, gate, 3, "clip")
        try:
            _wait_for(process, "ready")
            time.sleep(0.004 * moment**2)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
        finally:
            process.kill()
        events: list[str] = []
        got = RecordCache(folder, on_event=events.append).get(key_of(Motion, input_digest="clip"))
        assert events == []
        assert got is None or same(got, make(Motion, 5000, 3))


def test_gc_leaves_a_living_writer_alone(tmp_path: Path) -> None:
    folder, gate = tmp_path / "cache", tmp_path / "gate"
    gate.touch()
    process = _start(folder, gate, 1, "clip", pause=0.1)
    try:
        _wait_for(process, "span")
        assert collect(folder, max_size=0).removed == ()
        assert process.communicate(timeout=60)[0].endswith("done\n")
    finally:
        process.kill()
    assert RecordCache(folder).get(key_of(Motion, input_digest="clip")) is not None
