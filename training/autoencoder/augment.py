"""Random changes of the training frames. All random numbers come from torch's global generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from monitor.detector.true_sight.autoencoder import INPUT_SIZE
from training.autoencoder.recipe import Recipe

Augment = Callable[[Tensor], Tensor]
"""(B, C, 96, 96) float in [0, 1] -> the same shape. Channels 0-2 are RGB; an optional fourth is the foreground."""


def augmentation(recipe: Recipe) -> Augment:
    """The augmentation that a recipe selects."""
    if recipe.augment == "published":
        return Published()
    if recipe.augment == "light":
        return Light(brightness=recipe.brightness, contrast=recipe.contrast, shift=recipe.shift, noise=recipe.noise)
    return lambda frames: frames


class Published:
    """The published augmentation, frame by frame, in the published order. RGB only."""

    def __init__(self) -> None:
        from torchvision.transforms import v2  # type: ignore[import-untyped]  # takes seconds; only this needs it

        self._transform = v2.Compose(
            [
                v2.Resize((INPUT_SIZE, INPUT_SIZE), antialias=True),
                v2.RandomHorizontalFlip(p=0.5),
                v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.25, hue=0.1),
                v2.RandomAffine(degrees=15, translate=(0.12, 0.12), scale=(0.88, 1.12)),
                v2.RandomPerspective(distortion_scale=0.25, p=0.5),
                v2.RandomErasing(p=0.35, scale=(0.02, 0.12)),
            ]
        )

    def __call__(self, frames: Tensor) -> Tensor:
        """(B, 3, h, w) float in [0, 1] -> (B, 3, 96, 96)."""
        return torch.stack([self._transform(frame) for frame in frames])


class Light:
    """Changes that occur at a real fixed camera: brightness and contrast vary, it shakes a little, and it is noisy.

    It does not flip frames, because a mirrored or upside-down place is not the place that the camera watches.
    """

    def __init__(self, *, brightness: float, contrast: float, shift: float, noise: float) -> None:
        self.brightness, self.contrast, self.shift, self.noise = brightness, contrast, shift, noise

    def __call__(self, frames: Tensor) -> Tensor:
        """(B, C, h, w) float in [0, 1] -> the same shape. A fourth channel is only shifted."""
        b, device = len(frames), frames.device
        # Random numbers are always drawn on the CPU, so that every device gets the same changes.
        contrast = 1 + self.contrast * _uniform(b, device)
        brightness = self.brightness * _uniform(b, device)
        sigma = self.noise * torch.rand(b, 1, 1, 1).to(device)
        noise = torch.randn(b, 3, *frames.shape[2:]).to(device)
        frames = self._shifted(frames)
        rgb = frames[:, :3]
        mean = rgb.mean(dim=(1, 2, 3), keepdim=True)
        rgb = ((rgb - mean) * contrast + mean + brightness + sigma * noise).clamp(0, 1)
        return torch.cat([rgb, frames[:, 3:]], dim=1)

    def _shifted(self, frames: Tensor) -> Tensor:
        """Shift each frame by whole pixels and repeat its edges."""
        b, _, h, w = frames.shape
        py, px = round(self.shift * h), round(self.shift * w)
        top = torch.randint(0, 2 * py + 1, (b,)).tolist()
        left = torch.randint(0, 2 * px + 1, (b,)).tolist()
        padded = functional.pad(frames, (px, px, py, py), mode="replicate")
        return torch.stack([f[:, y : y + h, x : x + w] for f, y, x in zip(padded, top, left, strict=True)])


def _uniform(n: int, device: torch.device) -> Tensor:
    """(n, 1, 1, 1) random numbers, uniform in [-1, 1)."""
    return (2 * torch.rand(n, 1, 1, 1) - 1).to(device)
