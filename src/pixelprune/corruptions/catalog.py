"""The corruptions by name."""

from typing import Any, Literal

from pixelprune.corruptions.blur import defocus_blur, gaussian_blur
from pixelprune.corruptions.corruption import Corruption
from pixelprune.corruptions.digital import jpeg, pixelate
from pixelprune.corruptions.elastic import elastic
from pixelprune.corruptions.frost import frost
from pixelprune.corruptions.glass import glass_blur
from pixelprune.corruptions.light import brightness, contrast, saturate
from pixelprune.corruptions.motion import motion_blur, zoom_blur
from pixelprune.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from pixelprune.corruptions.spatter import spatter
from pixelprune.corruptions.weather import fog, snow

CorruptionName = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic",
    "pixelate",
    "jpeg",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
]

CORRUPTIONS: dict[CorruptionName, Corruption[Any]] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    "contrast": contrast,
    "elastic": elastic,
    "pixelate": pixelate,
    "jpeg": jpeg,
    "speckle_noise": speckle_noise,
    "gaussian_blur": gaussian_blur,
    "spatter": spatter,
    "saturate": saturate,
}
