"""What the subjects share. Importing it loads pixelprune.cli, which must happen before torch is loaded."""

import pixelprune.cli  # noqa: F401
