"""Tables from other naming systems to ARKit: what each control takes from ARKit's 52.

Keys are normalised names (lower-case letters and digits). Weights were chosen by looking at every
control on a rendered face.
"""

from __future__ import annotations

from freeavatar.mapping.profiles import LOOKS, MOODS, VOWELS, both

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


# VALID has no lid morphs for the gaze, while ARKit's eyeLook shapes carry the lids with the eye:
# hence eyeLookDown in eyeClose and eyeLookUp in eyeOpen. Its squint closes the eye fully at 1.
# Shout alone drops the chin by 39 mm, MouthOpen by 15; Chew lowers the jaw behind closed lips.
VALID: Table = _sided(
    {
        "{s}eyecloseh": {"eyeBlink{S}": 1.0, "eyeLookDown{S}": 0.4},
        "{s}eyeopenh": {"eyeWide{S}": 1.0, "eyeLookUp{S}": 0.4},
        "{s}squinth": {"eyeSquint{S}": 0.45},
        "{s}lowlidh": {"eyeSquint{S}": 0.5, "cheekSquint{S}": 0.4},
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
    "mpbuph": {"mouthRollUpper": 1.0} | both("mouthPress"),
    "mpbdownh": {"mouthRollLower": 1.0} | both("mouthPress"),
    "outmiddletgh": {"tongueOut": 1.0},
}

# The creature's jaw opens through Mouth_Large_Opened (48 mm at the chin); Jaw_Lower keeps the lips
# closed. Sides are checked against the geometry when the file is loaded: some names are wrong.
VITRUVIAN: Table = _sided(
    {
        "eyesclosed{s}": {"eyeBlink{S}": 1.0},
        "eyesopenedmax{s}": {"eyeWide{S}": 1.0},
        "lowereyelidup{s}": {"eyeSquint{S}": 1.0, "cheekSquint{S}": 0.3},
        "lookdwn{s}": {"eyeLookDown{S}": 1.0},
        "lookup{s}": {"eyeLookUp{S}": 1.0},
        "lookin{s}": {"eyeLookIn{S}": 1.0},
        "lookout{s}": {"eyeLookOut{S}": 1.0},
        "eyebrowslower{s}": {"browDown{S}": 1.0},
        "eyebrowsfrown{s}": {"browDown{S}": 0.6},
        "eyebrowsraised{s}": {"browInnerUp": 0.4, "browOuterUp{S}": 0.5},
        "eyebrowsinnerbrowraised{s}": {"browInnerUp": 0.6},
        "eyebrowsouterbrowraised{s}": {"browOuterUp{S}": 0.5},
        "cheeksraised{s}": {"cheekSquint{S}": 1.0, "mouthSmile{S}": 0.2},
        "cheekscontracted{s}": {"noseSneer{S}": 0.3},
        "nostrilscornersraiseglobal{s}": {"noseSneer{S}": 1.0},
        "smilelipsclosed{s}": {"mouthSmile{S}": 1.0},
        "frown{s}": {"mouthFrown{S}": 1.0, "mouthStretch{S}": 0.3},
        "lipsdimple{s}": {"mouthDimple{S}": 1.0},
        "lipsdncornerwide{s}": {"mouthStretch{S}": 1.0},
        "lipsupcornerwide{s}": {"mouthStretch{S}": 1.0},
        "lipsdncornertight{s}": {"mouthPress{S}": 0.5},
        "lipsupcornertight{s}": {"mouthPress{S}": 0.5},
        "lipsdnlower{s}": {"mouthLowerDown{S}": 1.0},
        "lipsupraised{s}": {"mouthUpperUp{S}": 1.0},
        "mouthclosedmove{s}": {"mouth{S}": 0.6, "jaw{S}": 0.4},
    },
    "left",
    "right",
) | {
    "mouthlargeopened": {"jawOpen": 0.7, "mouthClose": -0.7},
    "jawlower": {"mouthClose": 1.0},
    "jawout": {"jawForward": 1.0},
    "kiss": {"mouthPucker": 1.0},
    "lipsdnfunnel": {"mouthFunnel": 0.8},
    "lipsupfunnel": {"mouthFunnel": 0.8},
    "lipsdnin": {"mouthRollLower": 1.0} | both("mouthPress", 0.3),
    "lipsupin": {"mouthRollUpper": 1.0} | both("mouthPress", 0.3),
    "lipsupraisedm": {"mouthShrugUpper": 0.8},
    "chinraised": {"mouthShrugLower": 1.0},
    "cheekspuffed": {"cheekPuff": 1.0},
    "tongueforward": {"tongueOut": 1.0},
}

# VRM expressions, 0.x and 1.0, and the vowels under the names that modellers give their morphs.
# Emotions are left out: they are blends of the same morphs.
_VRM_SPELLINGS = {
    "aa": ("aa", "a", "ah", "fclmtha"),
    "ih": ("ih", "i", "fclmthi"),
    "ou": ("ou", "u", "uu", "fclmthu"),
    "ee": ("ee", "e", "eh", "fclmthe"),
    "oh": ("oh", "o", "fclmtho"),
}
VRM: Table = {
    spelling: recipe for vowel, recipe in VOWELS.items() for spelling in _VRM_SPELLINGS[vowel]
} | {
    "blink": both("eyeBlink"),
    "blinkleft": {"eyeBlinkLeft": 1.0},
    "blinkright": {"eyeBlinkRight": 1.0},
    "blinkl": {"eyeBlinkLeft": 1.0},
    "blinkr": {"eyeBlinkRight": 1.0},
    "lookup": LOOKS["lookUp"],
    "lookdown": LOOKS["lookDown"],
    "lookleft": LOOKS["lookLeft"],
    "lookright": LOOKS["lookRight"],
    "surprised": MOODS["surprised"],
    "angledeyebrows": both("browDown"),
    "fclbrwangry": both("browDown"),
    "fclbrwsurprised": {"browInnerUp": 0.4} | both("browOuterUp", 0.3),
    "fclbrwsorrow": {"browInnerUp": 0.6},
    "fclmthfun": both("mouthSmile"),
    "fclmthdown": both("mouthFrown"),
}

MAKEHUMAN: Table = _sided(
    {
        "eye{s}closure": {"eyeBlink{S}": 1.0},
        "eye{s}slit": {"eyeSquint{S}": 0.7},
        "eye{s}openedup": {"eyeWide{S}": 1.0},
        "eyebrows{s}down": {"browDown{S}": 1.0},
        "eyebrows{s}externup": {"browOuterUp{S}": 1.0},
        "eyebrows{s}innerup": {"browInnerUp": 1.0},
        "nose{s}elevation": {"noseSneer{S}": 1.0},
        "nose{s}dilatation": {"noseSneer{S}": 0.3},
    },
    "left",
    "right",
) | {
    "mouthopen": {"jawOpen": 1.0, "mouthClose": -0.8},
    "mouthcornerpuller": both("mouthSmile"),
    "mouthdepression": both("mouthFrown"),
    "mouthdepressionretraction": both("mouthLowerDown"),
    "mouthelevation": {"mouthShrugLower": 0.7, "mouthShrugUpper": 0.5},
    "mouthupwardretraction": both("mouthUpperUp"),
    "mouthretraction": both("mouthStretch") | both("mouthDimple", 0.3),
    "mouthcompression": both("mouthPress") | {"mouthRollLower": 0.4, "mouthRollUpper": 0.4},
    "mouthpursing": {"mouthPucker": 1.0},
    "mouthprotusion": {"mouthFunnel": 0.7},
    "mouthpartlater": both("mouthLowerDown", 0.2),
    "tongueout": {"tongueOut": 1.0},
}

FAMILIES: dict[str, Table] = {
    "valid": VALID,
    "vitruvian": VITRUVIAN,
    "vrm": VRM,
    "makehuman": MAKEHUMAN,
}
