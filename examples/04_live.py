"""A camera (or a file in its place) -> other programs and your own code, at the same time.

python examples/04_live.py                  # camera 0 -> VMC and Live Link; Ctrl-C stops
python examples/04_live.py examples/clips/crying_to_laughing.mp4
"""

import sys
from pathlib import Path

from freeavatar.live.frame import LiveFrame
from freeavatar.live.performer import Performer
from freeavatar.live.protocols import open_senders
from freeavatar.live.session import LiveReport, LiveSession
from freeavatar.live.sources import CameraSource, FileSource
from freeavatar.pipeline import Models
from freeavatar.rig import ARKIT


class Smiles:
    """A sender of your own: anything with a name, `send` and `close`. It has its own thread, and
    when it is slow it misses frames and holds up nobody."""

    name = "smiles"

    def __init__(self) -> None:
        self.broadest = 0.0

    def send(self, frame: LiveFrame) -> int:
        smile = float(frame.arkit[ARKIT.index("mouthSmileLeft")])
        self.broadest = max(self.broadest, smile)
        return 1

    def close(self) -> None:
        print(f"The broadest smile was {self.broadest:.2f}")


def main(video: Path | None = None, targets: tuple[str, ...] = ("vmc", "livelink")) -> LiveReport:
    source = FileSource(video) if video is not None else CameraSource(0)
    source.check()
    senders = [*open_senders(targets), Smiles()]
    session = LiveSession(source, Performer(Models.load()), senders, say=print)
    try:
        report = session.run()
    except KeyboardInterrupt:
        report = session.report()
    for sender in report.senders:
        print(f"{sender.name}: {sender.frames} frames, {sender.latency_median_ms:.1f} ms")
    print(f"{report.dropped} of {report.pictures} pictures were dropped")
    return report


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
