"""What faces do, written down in ARKit controls: the words that training expressions are made of.

One-sided expressions are given for the left; the sources mirror them half of the time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expression:
    """A named group of controls at full strength."""

    name: str
    controls: tuple[tuple[str, float], ...]


def _make(name: str, both: dict[str, float] | None = None, **controls: float) -> Expression:
    """`both` names controls without their side; they are set on the left and on the right."""
    pairs = dict(controls)
    for stem, amount in (both or {}).items():
        pairs[stem + "Left"] = pairs[stem + "Right"] = amount
    return Expression(name, tuple(pairs.items()))


UPPER: tuple[Expression, ...] = (
    _make("blink", {"eyeBlink": 0.95, "eyeSquint": 0.1}),
    _make("tight blink", {"eyeBlink": 1.0, "eyeSquint": 0.7, "cheekSquint": 0.5}),
    _make("half-closed", {"eyeBlink": 0.5}),
    _make("wink", eyeBlinkLeft=1.0, eyeSquintLeft=0.5, cheekSquintLeft=0.5, mouthSmileLeft=0.25),
    _make("soft wink", eyeBlinkLeft=0.95, eyeBlinkRight=0.15),
    _make("wide eyes", {"eyeWide": 1.0}),
    _make("squint", {"eyeSquint": 1.0, "eyeBlink": 0.15}),
    _make("one squint", eyeSquintLeft=1.0, eyeBlinkLeft=0.25),
    _make("brows up", {"browOuterUp": 0.9}, browInnerUp=0.9),
    _make("inner brows up", browInnerUp=1.0),
    _make("outer brows up", {"browOuterUp": 1.0}),
    _make("one brow up", browOuterUpLeft=1.0, browInnerUp=0.25, browDownRight=0.25),
    _make("brows down", {"browDown": 1.0}),
    _make("one brow down", browDownLeft=0.9),
    _make("worry", {"browDown": 0.35}, browInnerUp=0.9),
    _make("surprise", {"browOuterUp": 0.8, "eyeWide": 0.8}, browInnerUp=0.8),
    _make("glare", {"browDown": 0.9, "eyeSquint": 0.5, "eyeWide": 0.15}),
    _make("fear", {"browOuterUp": 0.3, "eyeWide": 0.9, "browDown": 0.2}, browInnerUp=0.9),
    _make("nose wrinkle", {"noseSneer": 0.9, "browDown": 0.4, "cheekSquint": 0.3}),
    _make("one sneer", noseSneerLeft=0.9, mouthUpperUpLeft=0.4),
    _make("cheeks up", {"cheekSquint": 0.9, "eyeSquint": 0.4}),
)

LOWER: tuple[Expression, ...] = (
    _make("smile", {"mouthSmile": 0.8, "cheekSquint": 0.3, "mouthDimple": 0.15}),
    _make(
        "broad smile",
        {
            "mouthSmile": 1.0,
            "cheekSquint": 0.6,
            "eyeSquint": 0.4,
            "mouthUpperUp": 0.35,
            "mouthLowerDown": 0.3,
        },
    ),
    _make(
        "laugh",
        {"mouthSmile": 0.9, "cheekSquint": 0.7, "eyeSquint": 0.5, "mouthUpperUp": 0.4},
        jawOpen=0.5,
    ),
    _make("one-sided smile", mouthSmileLeft=0.9, cheekSquintLeft=0.3, mouthDimpleLeft=0.2),
    _make("smirk", mouthSmileLeft=0.5, mouthDimpleLeft=0.6, mouthLeft=0.2, mouthPressLeft=0.2),
    _make("frown", {"mouthFrown": 0.9}, mouthShrugLower=0.3),
    _make("one-sided frown", mouthFrownLeft=0.9),
    _make("pout", {"mouthFrown": 0.5}, mouthShrugLower=0.8, mouthPucker=0.3),
    _make("sob", {"mouthFrown": 0.6, "mouthStretch": 0.6, "mouthLowerDown": 0.4}, jawOpen=0.25),
    _make("kiss", mouthPucker=1.0, mouthFunnel=0.15),
    _make("funnel", mouthFunnel=1.0, jawOpen=0.15),
    _make("oo", mouthPucker=0.6, mouthFunnel=0.4, jawOpen=0.1),
    _make("oh", mouthFunnel=0.7, jawOpen=0.4),
    _make("ah", {"mouthLowerDown": 0.25, "mouthUpperUp": 0.1}, jawOpen=0.6),
    _make("ee", {"mouthStretch": 0.5, "mouthSmile": 0.3, "mouthLowerDown": 0.4}, jawOpen=0.12),
    _make("f", {"mouthUpperUp": 0.3}, mouthRollLower=0.6, jawOpen=0.08),
    _make("m", {"mouthPress": 0.5}, mouthRollLower=0.4, mouthRollUpper=0.4),
    _make("m over open jaw", mouthClose=0.35, jawOpen=0.4),
    _make("th", {"mouthLowerDown": 0.2}, tongueOut=0.35, jawOpen=0.2),
    _make("jaw open", jawOpen=0.9),
    _make("yawn", {"eyeSquint": 0.4, "mouthLowerDown": 0.3}, jawOpen=1.0, mouthFunnel=0.2),
    _make("jaw left", jawLeft=0.9),
    _make("jaw left, open", jawLeft=0.7, jawOpen=0.3),
    _make("jaw forward", jawForward=0.9),
    _make("mouth left", mouthLeft=0.9),
    _make("puffed cheeks", {"mouthPress": 0.2}, cheekPuff=1.0, mouthPucker=0.2),
    _make("lips pressed", {"mouthPress": 0.9}, mouthShrugLower=0.2),
    _make("lips rolled in", mouthRollLower=0.8, mouthRollUpper=0.8),
    _make("chin up", mouthShrugLower=0.9, mouthShrugUpper=0.5),
    _make("stretch", {"mouthStretch": 0.9}, jawOpen=0.1),
    _make("one-sided stretch", mouthStretchLeft=0.9, mouthLowerDownLeft=0.3),
    _make("dimples", {"mouthDimple": 0.9}),
    _make("upper lip up", {"mouthUpperUp": 0.9, "noseSneer": 0.2}),
    _make("snarl", mouthUpperUpLeft=0.9, noseSneerLeft=0.7, cheekSquintLeft=0.3),
    _make("lower teeth", {"mouthLowerDown": 0.9}),
    _make("bared teeth", {"mouthLowerDown": 0.7, "mouthUpperUp": 0.7, "mouthStretch": 0.3}),
    _make("tongue out", {"mouthLowerDown": 0.2}, tongueOut=1.0, jawOpen=0.4),
    _make("tongue out, wide", {"mouthLowerDown": 0.3}, tongueOut=1.0, jawOpen=0.75),
    _make("disgust", {"noseSneer": 0.8, "mouthUpperUp": 0.6, "mouthFrown": 0.4}),
    _make("rage", {"mouthLowerDown": 0.6, "mouthUpperUp": 0.6, "noseSneer": 0.6}, jawOpen=0.45),
)
