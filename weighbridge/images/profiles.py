"""Colours of an embedded profile (Display P3, Adobe RGB, a printer's CMYK) converted to sRGB, by littlecms."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from tracking.runs.errors import UserError
from weighbridge.images.opening import UNREADABLE, open_profile

_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def in_srgb(image: Image.Image, path: Path, decoded: np.ndarray | None = None) -> Image.Image:
    """The image in sRGB; one without a profile as it is.

    Args:
        decoded: its pixels, RGB, where another library decoded them.

    Raises:
        UserError: the profile cannot be used.
    """
    content = image.info.get("icc_profile")
    if not content:
        return image if decoded is None else Image.fromarray(decoded)
    try:
        profile = open_profile(content)
        space = _SPACES[profile.profile.xcolor_space]
        given = image.convert(space) if decoded is None else Image.fromarray(decoded)
        converted = ImageCms.profileToProfile(given, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, *UNREADABLE) as problem:
        said = " ".join(str(problem).split())
        raise UserError(
            f"{path}: its colour profile cannot be used ({said}); set profile to ignore in its recipe"
        ) from problem
    assert converted is not None
    return converted
