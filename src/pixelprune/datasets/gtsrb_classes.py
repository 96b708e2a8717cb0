"""The 43 classes of GTSRB: their names in English, and the outline of each."""

from pixelprune.datasets.outlines import Shape

NAMES = (
    "speed limit 20",
    "speed limit 30",
    "speed limit 50",
    "speed limit 60",
    "speed limit 70",
    "speed limit 80",
    "end of speed limit 80",
    "speed limit 100",
    "speed limit 120",
    "no overtaking",
    "no overtaking by trucks",
    "right of way at the next crossing",
    "priority road",
    "yield",
    "stop",
    "no vehicles",
    "no trucks",
    "no entry",
    "general danger",
    "curve to the left",
    "curve to the right",
    "double curve",
    "bumpy road",
    "slippery road",
    "road narrows on the right",
    "road works",
    "traffic lights",
    "pedestrians",
    "children",
    "bicycles",
    "ice and snow",
    "wild animals",
    "end of all limits",
    "turn right ahead",
    "turn left ahead",
    "straight ahead only",
    "straight ahead or right",
    "straight ahead or left",
    "keep right",
    "keep left",
    "roundabout",
    "end of no overtaking",
    "end of no overtaking by trucks",
)

_TRIANGLES = (11, *range(18, 32))
_OTHER: dict[int, Shape] = {12: "diamond", 13: "down", 14: "octagon", **dict.fromkeys(_TRIANGLES, "up")}

SHAPES: tuple[Shape, ...] = tuple(_OTHER.get(number, "circle") for number in range(43))
