"""The colors of the report, light and dark, as variables of its style sheet.

**Source:** M. Okabe and K. Ito, Color Universal Design (2008), darkened until text reaches 4.5 : 1 and lines 3 : 1.
"""

LIGHT = {
    "ground": "#FFFFFF",
    "band": "#F6F6F3",
    "ink": "#1A1A1A",
    "soft": "#595959",
    "link": "#0B5CAD",
    "rule": "#8C8C8C",
    "grid": "#E4E4E0",
    "clean": "#0072B2",
    "robust": "#B34E00",
    "corrupted": "#007A59",
    "extra": "#A8527F",
    "control": "#595959",
    "chance": "#8C8C8C",
    "pass": "#00674B",
    "look": "#8A5A00",
    "fail": "#A33A00",
}
DARK = {
    "ground": "#141415",
    "band": "#1E1E20",
    "ink": "#ECECEC",
    "soft": "#B4B4B4",
    "link": "#82BBF7",
    "rule": "#8C8C8C",
    "grid": "#303033",
    "clean": "#56ACE4",
    "robust": "#F08A4B",
    "corrupted": "#3EBD96",
    "extra": "#D78FB4",
    "control": "#B4B4B4",
    "chance": "#8C8C8C",
    "pass": "#4CC79A",
    "look": "#E3B04B",
    "fail": "#F58C5E",
}
TEXT = ("ink", "soft", "link", "clean", "robust", "corrupted", "extra", "control", "pass", "look", "fail")
"""Must reach 4.5 : 1 on ground and on band."""
LINES = ("rule", "chance")
"""Must reach 3 : 1 on ground."""


def variables(colors: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colors.items())


def contrast(first: str, second: str) -> float:
    """WCAG 2.2: from 1 (equal) to 21 (black on white)."""
    bright, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
