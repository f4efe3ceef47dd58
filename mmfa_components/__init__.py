"""Records, networks, geometry and the component registry of MMFA.

Nothing in this package does video, cache or pipeline work: it may import torch, attrs, pluggy and safetensors only.
"""

__version__ = "0.1.0"
