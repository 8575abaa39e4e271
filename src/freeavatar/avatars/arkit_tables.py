"""Tables from other naming systems to ARKit: what each control takes from ARKit's 52.

Keys are normalised names (lower-case letters and digits). Weights were chosen by looking at every
control on a rendered face.
"""

from __future__ import annotations

SYNONYMS: dict[str, tuple[str, ...]] = {}
"""Further spellings of single ARKit controls."""

Table = dict[str, dict[str, float]]


def _sided(rows: dict[str, dict[str, float]], left: str, right: str) -> Table:
    """Expand rows written for {s} and {S}: the side in the rig's spelling and in ARKit's."""
    table: Table = {}
    for key, recipe in rows.items():
        for spelling, side in ((left, "Left"), (right, "Right")):
            table[key.format(s=spelling)] = {
                control.format(S=side): weight for control, weight in recipe.items()
            }
    return table


_BOTH = ("Left", "Right")


def _both(stem: str, weight: float = 0.5) -> dict[str, float]:
    """A control without a side that ARKit splits in two."""
    return {stem + side: weight for side in _BOTH}


# VALID has no lid morphs for the gaze, while ARKit's eyeLook shapes carry the lids with the eye:
# hence eyeLookDown in eyeClose and eyeLookUp in eyeOpen. Its squint closes the eye fully at 1.
# Shout alone drops the chin by 39 mm, MouthOpen by 15; Chew lowers the jaw behind closed lips.
VALID: Table = _sided(
    {
        "{s}eyecloseh": {"eyeBlink{S}": 1.0, "eyeLookDown{S}": 0.4},
        "{s}eyeopenh": {"eyeWide{S}": 1.0, "eyeLookUp{S}": 0.4},
        "{s}squinth": {"eyeSquint{S}": 0.45},
        "{s}lowlidh": {"eyeSquint{S}": 0.4, "cheekSquint{S}": 0.5},
        "{s}pityfulh": {"browInnerUp": 0.5},
        "{s}browuph": {"browInnerUp": 1.0},
        "{s}{s}browuph": {"browOuterUp{S}": 1.0},
        "{s}browdownh": {"browDown{S}": 1.0},
        "{s}{s}browdownh": {"browDown{S}": 0.7},
        "{s}jawh": {"jaw{S}": 1.0, "mouth{S}": 0.6},
        "{s}smilecloseh": {"mouthSmile{S}": 1.0, "mouth{S}": 0.25},
        "{s}smileopenh": {"mouthSmile{S}": 0.3, "mouthStretch{S}": 0.25},
        "{s}mouthsadh": {"mouthFrown{S}": 1.0, "mouthStretch{S}": 0.3},
        "{s}lipuph": {"mouthUpperUp{S}": 1.0},
        "{s}lipdownh": {"mouthLowerDown{S}": 1.0},
        "{s}lipsideh": {"mouthStretch{S}": 1.0, "mouth{S}": 0.5},
        "{s}lipcornerh": {"mouthDimple{S}": 1.0},
        "{s}disgusth": {"noseSneer{S}": 0.7, "mouthShrugUpper": 0.4},
        "{s}nostrilh": {"noseSneer{S}": 0.6},
        "{s}blowh": {"cheekPuff": 1.0},
    },
    "l",
    "r",
) | {
    "mouthopenh": {"jawOpen": 0.5, "mouthClose": -0.5},
    "shouth": {"jawOpen": 0.5, "mouthClose": -0.5},
    "chewh": {"mouthClose": 1.0},
    "jawfronth": {"jawForward": 1.0},
    "kissh": {"mouthPucker": 1.0},
    "uwuh": {"mouthFunnel": 0.6},
    "shchh": {"mouthFunnel": 0.5},
    "chinh": {"mouthShrugLower": 1.0},
    "mpbuph": {"mouthRollUpper": 1.0} | _both("mouthPress"),
    "mpbdownh": {"mouthRollLower": 1.0} | _both("mouthPress"),
    "outmiddletgh": {"tongueOut": 1.0},
}

FAMILIES: dict[str, Table] = {"valid": VALID}
