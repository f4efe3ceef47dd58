"""Image metrics as pure functions of tensors; plugins register them as components of kind "metric"."""

from mmfa_components.metrics.image import psnr, ssim

__all__ = ["psnr", "ssim"]
