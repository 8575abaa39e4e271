"""A camera, or a video that stands in for one, drives a VRM program (VMC) and Unreal (Live Link).

python examples/03_perform_live.py                        # camera 0, until Ctrl-C
python examples/03_perform_live.py --video take.mp4 --send vmc websocket:8765
"""

from pathlib import Path

import tyro

from freeavatar.live.performer import Performer
from freeavatar.live.protocols import open_senders
from freeavatar.live.session import LiveReport, LiveSession
from freeavatar.live.sources import CameraSource, FileSource
from freeavatar.pipeline import Models


def main(
    video: Path | None = None, camera: int = 0, send: tuple[str, ...] = ("vmc", "livelink")
) -> LiveReport:
    """Everything goes to this computer; name another as vmc:192.168.1.5."""
    source = CameraSource(camera) if video is None else FileSource(video)
    source.check()
    session = LiveSession(source, Performer(Models.load()), open_senders(send), say=print)
    try:
        session.run()
    except KeyboardInterrupt:
        print()
    report = session.report()
    print(f"{report.shown} of {report.pictures} pictures shown, {report.dropped} dropped")
    for to in report.senders:
        print(f"  {to.name}: {to.packets} packets, median latency {to.latency_median_ms:.0f} ms")
    return report


if __name__ == "__main__":
    tyro.cli(main)
