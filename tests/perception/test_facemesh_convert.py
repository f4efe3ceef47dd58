"""The converter: bad files, the geometry message, and every step of the graph it writes."""

from __future__ import annotations

import struct
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from mmfa_components.errors import WeightsError
from mmfa_components.perception.graph import GraphNetwork, same_padding
from plugins.facemesh.convert import convert, main, read_geometry


def message(*fields: tuple[int, int | float | bytes]) -> bytes:
    """A protobuf message of small numbers, floats and bytes."""
    data = b""
    for number, value in fields:
        if isinstance(value, float):
            data += bytes([number << 3 | 5]) + struct.pack("<f", value)
        elif isinstance(value, int):
            data += bytes([number << 3, value])
        else:
            size = len(value)
            data += bytes([number << 3 | 2, size & 127 | 128, size >> 7]) + value
    return data


def test_geometry_is_read_and_turned_y_down() -> None:
    vertices = message(*((3, float(v)) for v in (1, 2, 3, 0.5, 0.5, 4, 5, 6, 0.5, 0.5)))
    data = message((1, vertices), (2, message((1, 7), (2, 0.25))), (2, message((2, 0.5))))
    found = read_geometry(data)
    assert found["canonical"].tolist() == [[1, -2, 3], [4, -5, 6]]
    assert found["weights"].nonzero().flatten().tolist() == [0, 7]
    assert found["weights"][[0, 7]].tolist() == [0.5, 0.25]


def test_files_that_are_no_task_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    noise, other = tmp_path / "noise.task", tmp_path / "other.task"
    noise.write_bytes(b"not a zip")
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("something.txt", "else")
    for path in (noise, other, tmp_path / "absent.task"):
        with pytest.raises(WeightsError, match=path.name):
            convert(path, tmp_path / "out")
        monkeypatch.setattr(sys, "argv", ["convert", str(path), str(tmp_path / "out")])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert path.name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_same_padding_puts_the_odd_pixel_after() -> None:
    assert same_padding(8, 3, 1) == (1, 1)
    assert same_padding(8, 3, 2) == (0, 1)
    assert same_padding(7, 3, 2) == (1, 1)
    assert same_padding(8, 2, 2) == (0, 0)


@pytest.mark.parametrize("slope", [False, True], ids=["onnxruntime", "torch"])
def test_every_step_of_a_graph(slope: bool) -> None:
    steps = [
        {"op": "conv", "in": ["x"], "out": "a", "weight": "w", "bias": "b", "stride": 2, "same": True, "groups": 1, "act": "relu"},
        {"op": "max_pool", "in": ["x"], "out": "m", "kernel": 2, "stride": 2, "same": True},
        {"op": "pad_channels", "in": ["m"], "out": "p", "after": 1},
        {"op": "add", "in": ["a", "p"], "out": "s"},
        {"op": "prelu", "in": ["s"], "out": "r", "weight": "k"},
        {"op": "flatten", "in": ["r"], "out": "f", "size": 2},
        {"op": "concat", "in": ["f", "f"], "out": "c"},
        {"op": "sigmoid", "in": ["c"], "out": "y"},
    ]
    torch.manual_seed(0)
    w, b, k = torch.randn(2, 1, 3, 3), torch.randn(2), torch.tensor([0.1, 0.3])
    x = torch.randn(2, 1, 5, 5).requires_grad_(slope)
    (found,) = GraphNetwork(steps, {"w": w, "b": b, "k": k}, "x", ["y"])(x)
    functional = torch.nn.functional
    a = functional.conv2d(functional.pad(x, (1, 1, 1, 1)), w, b, 2).relu()
    m = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), value=-1e9), 2)
    s = a + torch.cat([m, torch.zeros_like(m)], 1)
    wanted = functional.prelu(s, k).permute(0, 2, 3, 1).reshape(2, -1, 2)
    assert torch.allclose(found, torch.cat([wanted, wanted], 1).sigmoid(), atol=1e-6)
    with pytest.raises(ValueError, match="warp"):
        GraphNetwork([{"op": "warp", "in": ["x"], "out": "y"}], {}, "x", ["y"])(x)


def test_shipped_weights_say_their_architecture() -> None:
    from mmfa_components.weights import metadata
    from plugins.facemesh import mmfa_weights

    for file in mmfa_weights():
        assert metadata(file.path)["architecture"] == file.architecture
        assert file.path.stat().st_size < 3_000_000
