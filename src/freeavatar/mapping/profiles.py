"""From ARKit's 52 values to the names that other programs expect: VRM, VRChat, perfect sync.

weights("vrm1", arkit) -> (names, values). Every target is a weighted sum of ARKit values plus a
constant, clamped to its range. Sources: VRMC_vrm-1.0 and VRM 0 specifications (preset
expressions); VRCFaceTracking's Unified Expressions, "v2" parameters, for VRChat avatars.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float

from freeavatar.errors import UsageError
from freeavatar.rig import ARKIT, ARKIT_NAMES

Recipe = Mapping[str, float]
"""How much each ARKit control adds."""


@dataclass(frozen=True)
class Target:
    """One name of a profile and what it takes from ARKit."""

    name: str
    recipe: Recipe
    rest: float = 0.0
    """Its value on a neutral face (an eyelid that is 0 when closed rests at 0.75)."""
    minimum: float = 0.0


@dataclass(frozen=True)
class Profile:
    """The names that one family of programs understands."""

    name: str
    description: str
    targets: tuple[Target, ...]
    shared_blinks: tuple[str, str, str] | None = None
    """(both, left, right): what the lids do together goes to the first, the rest to the sides,
    because players add all three up."""
    unreadable: tuple[str, ...] = field(default=())
    """Names of the profile that an ARKit face says nothing about; they are not sent."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(target.name for target in self.targets)

    @cached_property
    def matrix(self) -> Float[np.ndarray, "arkit target"]:
        """ARKit values @ matrix + rest, before clamping."""
        matrix = np.zeros((len(ARKIT), len(self.targets)), np.float32)
        for column, target in enumerate(self.targets):
            for control, gain in target.recipe.items():
                matrix[ARKIT.index(control), column] += gain
        return matrix

    @cached_property
    def rest(self) -> Float[np.ndarray, "target"]:
        return np.array([target.rest for target in self.targets], np.float32)

    @cached_property
    def minimum(self) -> Float[np.ndarray, "target"]:
        return np.array([target.minimum for target in self.targets], np.float32)

    def weights(self, arkit: Float[np.ndarray, "... arkit"]) -> Float[np.ndarray, "... target"]:
        """Values of all targets for ARKit values in the order of `rig.ARKIT`, in their range."""
        values = np.asarray(arkit, np.float32) @ self.matrix + self.rest
        values = np.clip(values, self.minimum, 1.0).astype(np.float32)
        if self.shared_blinks is not None:
            both, left, right = (self.names.index(name) for name in self.shared_blinks)
            together = np.minimum(values[..., left], values[..., right])
            values[..., both] = together
            values[..., left] -= together
            values[..., right] -= together
        return values


def weights(
    profile: str | Profile, arkit: Float[np.ndarray, "... arkit"]
) -> tuple[tuple[str, ...], Float[np.ndarray, "... target"]]:
    """Names of a profile and their values for one row or many rows of ARKit's 52 values.

    UsageError for a profile that does not exist.
    """
    chosen = profile if isinstance(profile, Profile) else find_profile(profile)
    return chosen.names, chosen.weights(arkit)


def find_profile(name: str) -> Profile:
    """A profile by name; UsageError names the ones there are."""
    if name in PROFILES:
        return PROFILES[name]
    near = difflib.get_close_matches(name.lower(), PROFILES, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(PROFILES)}."
    raise UsageError(f"There is no profile {name!r}. {hint}")


def both(stem: str, weight: float = 0.5) -> dict[str, float]:
    """A movement without a side that ARKit splits in two."""
    return {stem + "Left": weight, stem + "Right": weight}


# Weights of the vowels and of the surprised face were chosen by looking at rendered faces; they
# are also what drives the morphs of VRM avatars (avatars/arkit_tables.py).
VOWELS: dict[str, dict[str, float]] = {
    "aa": {"jawOpen": 1.0, "mouthFunnel": -0.4, "mouthPucker": -0.4},
    "ih": {"mouthStretchLeft": 0.3, "mouthStretchRight": 0.3},
    "ou": {"mouthPucker": 1.0},
    "ee": both("mouthUpperUp", 0.25) | both("mouthLowerDown", 0.25) | both("mouthSmile", 0.2),
    "oh": {"mouthFunnel": 1.0},
}
LOOKS: dict[str, dict[str, float]] = {
    "lookUp": both("eyeLookUp"),
    "lookDown": both("eyeLookDown"),
    "lookLeft": {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5},
    "lookRight": {"eyeLookInLeft": 0.5, "eyeLookOutRight": 0.5},
}
# Whole-face moods that VRM avatars have instead of single muscles. A smile or a frown is all that
# many of them can show, so the moods follow the muscles that nothing else in the profile carries.
MOODS: dict[str, dict[str, float]] = {
    "happy": both("mouthSmile") | both("cheekSquint", 0.1),
    "angry": both("browDown") | both("noseSneer", 0.2),
    "sad": {"browInnerUp": 0.4} | both("mouthFrown", 0.4),
    "surprised": both("browOuterUp", 0.4) | both("eyeWide", 0.3),
}
VRM0_NAMES = {
    "happy": "Joy",
    "angry": "Angry",
    "sad": "Sorrow",
    "aa": "A",
    "ih": "I",
    "ou": "U",
    "ee": "E",
    "oh": "O",
    "blink": "Blink",
    "blinkLeft": "Blink_L",
    "blinkRight": "Blink_R",
    "lookUp": "LookUp",
    "lookDown": "LookDown",
    "lookLeft": "LookLeft",
    "lookRight": "LookRight",
}
"""VRM 0's name for each VRM 1 preset that both have and a face can show."""

VRM1_PRESETS = (
    *("happy", "angry", "sad", "relaxed", "surprised", "neutral"),
    *VOWELS,
    *("blink", "blinkLeft", "blinkRight"),
    *LOOKS,
)
"""Every preset expression of VRM 1.0."""


def _vrm_recipes() -> dict[str, dict[str, float]]:
    blinks: dict[str, dict[str, float]] = {
        "blink": {},
        "blinkLeft": {"eyeBlinkLeft": 1.0},
        "blinkRight": {"eyeBlinkRight": 1.0},
    }
    return MOODS | VOWELS | blinks | LOOKS


def _unified() -> tuple[Target, ...]:
    """VRChat face tracking: base shapes first, then the combined ones that small avatars use."""
    targets: list[Target] = []

    def add(name: str, recipe: Recipe, rest: float = 0.0, minimum: float = 0.0) -> None:
        targets.append(Target(f"v2/{name}", recipe, rest, minimum))

    def sided(name: str, stem: str, weight: float = 1.0) -> None:
        for side in ("Left", "Right"):
            add(name + side, {stem + side: weight})

    def both_sides(name: str, control: str) -> None:
        for side in ("Left", "Right"):
            add(name + side, {control: 1.0})

    # Gaze: X > 0 to the character's right, Y > 0 up.
    add("EyeLeftX", {"eyeLookInLeft": 1.0, "eyeLookOutLeft": -1.0}, minimum=-1.0)
    add("EyeRightX", {"eyeLookOutRight": 1.0, "eyeLookInRight": -1.0}, minimum=-1.0)
    for side in ("Left", "Right"):
        up_down = {f"eyeLookUp{side}": 1.0, f"eyeLookDown{side}": -1.0}
        add(f"Eye{side}Y", up_down, minimum=-1.0)
    for side in ("Left", "Right"):
        lid = {f"eyeBlink{side}": -0.75, f"eyeWide{side}": 0.25}
        add(f"EyeLid{side}", lid, rest=0.75)
        add(f"EyeOpen{side}", {f"eyeBlink{side}": -1.0}, rest=1.0)
        add(f"EyeClosed{side}", {f"eyeBlink{side}": 1.0})
    sided("EyeWide", "eyeWide")
    sided("EyeSquint", "eyeSquint")
    sided("BrowPinch", "browDown")
    sided("BrowLowerer", "browDown")
    both_sides("BrowInnerUp", "browInnerUp")
    sided("BrowOuterUp", "browOuterUp")
    sided("NoseSneer", "noseSneer")
    sided("CheekSquint", "cheekSquint")
    both_sides("CheekPuff", "cheekPuff")
    for shape in ("jawOpen", "jawLeft", "jawRight", "jawForward"):
        add(shape[0].upper() + shape[1:], {shape: 1.0})
    add("MouthClosed", {"mouthClose": 1.0})
    both_sides("LipSuckUpper", "mouthRollUpper")
    both_sides("LipSuckLower", "mouthRollLower")
    for lip in ("Upper", "Lower"):
        both_sides(f"LipFunnel{lip}", "mouthFunnel")
        both_sides(f"LipPucker{lip}", "mouthPucker")
        sided(f"Mouth{lip}", "mouth")
    sided("MouthUpperUp", "mouthUpperUp")
    sided("MouthUpperDeepen", "mouthUpperUp")
    sided("MouthLowerDown", "mouthLowerDown")
    sided("MouthCornerPull", "mouthSmile")
    sided("MouthCornerSlant", "mouthSmile")
    sided("MouthFrown", "mouthFrown")
    sided("MouthStretch", "mouthStretch")
    sided("MouthDimple", "mouthDimple")
    sided("MouthPress", "mouthPress")
    add("MouthRaiserUpper", {"mouthShrugUpper": 1.0})
    add("MouthRaiserLower", {"mouthShrugLower": 1.0})
    add("TongueOut", {"tongueOut": 1.0})
    # Combined parameters.
    add("EyeLid", both("eyeBlink", -0.375) | both("eyeWide", 0.125), rest=0.75)
    for side in ("Left", "Right"):
        smile_frown = {f"mouthSmile{side}": 1.0, f"mouthFrown{side}": -1.0}
        add(f"BrowUp{side}", {f"browOuterUp{side}": 0.6, "browInnerUp": 0.4})
        add(f"BrowDown{side}", {f"browDown{side}": 1.0})
        add(f"BrowExpression{side}", _brow_mood(side), minimum=-1.0)
        add(f"MouthSmile{side}", {f"mouthSmile{side}": 1.0})
        add(f"SmileFrown{side}", smile_frown, minimum=-1.0)
        add(f"SmileSad{side}", smile_frown, minimum=-1.0)
        add(f"MouthSad{side}", {f"mouthFrown{side}": 1.0})
    for name, stem in (
        ("EyeSquint", "eyeSquint"),
        ("BrowDown", "browDown"),
        ("BrowOuterUp", "browOuterUp"),
        ("NoseSneer", "noseSneer"),
        ("CheekSquint", "cheekSquint"),
        ("MouthUpperUp", "mouthUpperUp"),
        ("MouthLowerDown", "mouthLowerDown"),
        ("MouthStretch", "mouthStretch"),
        ("MouthDimple", "mouthDimple"),
        ("MouthPress", "mouthPress"),
    ):
        add(name, both(stem))
    for name, control in (
        ("BrowInnerUp", "browInnerUp"),
        ("CheekPuffSuck", "cheekPuff"),
        ("LipFunnel", "mouthFunnel"),
        ("LipPucker", "mouthPucker"),
        ("LipSuckUpper", "mouthRollUpper"),
        ("LipSuckLower", "mouthRollLower"),
    ):
        add(name, {control: 1.0})
    add("JawX", {"jawRight": 1.0, "jawLeft": -1.0}, minimum=-1.0)
    add("JawZ", {"jawForward": 1.0}, minimum=-1.0)
    add("MouthX", {"mouthRight": 1.0, "mouthLeft": -1.0}, minimum=-1.0)
    add("MouthOpen", both("mouthUpperUp", 0.25) | both("mouthLowerDown", 0.25))
    add("SmileFrown", both("mouthSmile") | both("mouthFrown", -0.5), minimum=-1.0)
    add("SmileSad", both("mouthSmile") | both("mouthFrown", -0.5), minimum=-1.0)
    return tuple(targets)


def _brow_mood(side: str) -> dict[str, float]:
    """-1 angry, 1 worried."""
    return {"browInnerUp": 0.5, f"browOuterUp{side}": 0.5, f"browDown{side}": -1.0}


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "arkit",
            'the 52 ARKit names, "perfect sync" in VRM and VTuber programs',
            tuple(Target(name, {name: 1.0}) for name in ARKIT_NAMES),
        ),
        Profile(
            "vrm1",
            "VRM 1.0 preset expressions: happy, aa, blinkLeft, lookUp ...",
            tuple(Target(name, recipe) for name, recipe in _vrm_recipes().items()),
            ("blink", "blinkLeft", "blinkRight"),
            ("relaxed", "neutral"),
        ),
        Profile(
            "vrm0",
            "VRM 0 blend shape names, as VMC programs expect them: Joy, A, Blink_L, LookUp ...",
            tuple(
                Target(VRM0_NAMES[name], recipe)
                for name, recipe in _vrm_recipes().items()
                if name in VRM0_NAMES
            ),
            ("Blink", "Blink_L", "Blink_R"),
            ("Fun", "Neutral"),
        ),
        Profile(
            "vrchat",
            "VRChat avatar parameters of Unified Expressions: v2/JawOpen, v2/EyeLidLeft ...",
            _unified(),
        ),
    )
}
