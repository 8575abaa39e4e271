"""`freeavatar live`: a camera drives an avatar in other programs, now."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.live import Live
from rich.text import Text

from freeavatar.avatars import catalog
from freeavatar.avatars.avatar import Avatar
from freeavatar.capture.track import TrackConfig
from freeavatar.cli.curve_options import CurveOptions
from freeavatar.cli.keys import typed_keys
from freeavatar.errors import UsageError
from freeavatar.export.files import cannot_write
from freeavatar.live import preview_page
from freeavatar.live.address import LOOPBACK, Address
from freeavatar.live.performer import Performer, PerformerConfig
from freeavatar.live.preview_page import PreviewPage
from freeavatar.live.protocols import SendOptions, open_senders, parse_target
from freeavatar.live.session import LiveReport, LiveSession
from freeavatar.live.sources import CameraConfig, CameraSource, FileSource, Source, StreamSource
from freeavatar.mapping.user_mapping import read_mapping
from freeavatar.motion.live import LiveMotionConfig
from freeavatar.motion.profile import read_profile
from freeavatar.pipeline import Models, weights_digest
from freeavatar.rig import ARKIT


@dataclass(frozen=True)
class Command:
    """Drive an avatar in other programs with your face, now.

    Keys while it runs: c takes your face of this moment for neutral (relax, look straight ahead),
    q stops. Pictures come from camera 0 unless you say otherwise. What to click in other programs
    is in docs/live.md.
    """

    send: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(metavar="PROTOCOL[:HOST][:PORT]", help_behavior_hint="(one or more)"),
    ] = ()
    """vmc, livelink, vrchat, ifacialmocap or websocket. Give it again for more. Packets stay on
    this computer unless you name another host."""
    avatar: Annotated[
        str | None, tyro.conf.arg(metavar="NAME|FILE", help_behavior_hint="(default: ARKit's 52)")
    ] = None
    """Whose controls the WebSocket sends; the other protocols have names of their own."""
    camera: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Number of the camera."""
    video: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(in place of a camera)")
    ] = None
    """A video file, played at its own speed."""
    url: Annotated[
        str | None, tyro.conf.arg(metavar="URL", help_behavior_hint="(in place of a camera)")
    ] = None
    """A network stream: rtsp://, rtmp://, http://, srt:// ..."""
    loop: bool = False
    """Play the video file again and again."""
    preview: bool = False
    """Open a page for your browser: the camera beside the avatar, all values, latencies, and a
    button to calibrate. Its address is printed; only this computer can open it."""
    preview_port: Annotated[int, tyro.conf.arg(metavar="PORT")] = preview_page.PORT
    """Port of that page; 0 takes any that is free."""
    names: Literal["vrm0", "vrm1", "arkit"] = "vrm0"
    """Names that vmc sends: of VRM 0, of VRM 1, or ARKit's 52 ("perfect sync")."""
    mapping: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="(default: none)")
    ] = None
    """Your own names and gains, in place of those of vmc and vrchat (docs/mapping.md)."""
    subject: str = "freeavatar"
    """Name under which Unreal lists us (livelink)."""
    allow_origin: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="ORIGIN")
    ] = ()
    """A web page that may connect to the WebSocket besides pages of this computer, for example
    https://example.org. Give it again for more."""
    neutral: Literal["auto", "off"] = "auto"
    """auto: your face of the first second is neutral in part; off: only the key c counts."""
    neutral_file: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.json", help_behavior_hint="(default: none)")
    ] = None
    """Your neutral face: read at the start if it is there, written when you press c. It takes the
    place of the one in --profile."""
    profile: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.json", help_behavior_hint="(default: none)")
    ] = None
    """Your profile (`freeavatar calibrate`): your neutral face and reach from the start."""
    curves: Annotated[CurveOptions, tyro.conf.arg(name="")] = field(default_factory=CurveOptions)
    report: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.json", help_behavior_hint="(default: none)")
    ] = None
    """Where to write frames, drops and latencies at the end."""
    picture: CameraConfig = field(default_factory=CameraConfig)
    track: Annotated[TrackConfig, tyro.conf.arg(name="")] = field(default_factory=TrackConfig)
    motion: Annotated[LiveMotionConfig, tyro.conf.arg(name="")] = field(
        default_factory=LiveMotionConfig
    )

    def run(self) -> int:
        """Perform until the source ends, q, or Ctrl-C; that is success."""
        if not self.send and not self.preview:
            raise UsageError(
                "Say where to send with --send, for example: freeavatar live --send vmc. "
                "Or just look, with --preview. See: freeavatar live --help"
            )
        if self.track.actor == "all":
            raise UsageError("--actor all is for files; live, one actor drives one avatar.")
        if self.profile is not None and self.neutral == "off":
            raise UsageError(
                "--profile brings a neutral face, and --neutral off starts without one. "
                "Leave one of them out."
            )
        for target in self.send:
            parse_target(target)
        source = self._source()
        avatar = catalog.resolve(self.avatar) if self.avatar else None
        options = self._send_options(avatar)
        config = self._performer_config(avatar)
        source.check()
        performer = Performer(Models.load(), avatar, config)
        if self.neutral_file is not None and self.neutral_file.exists():
            performer.load_neutral(self.neutral_file)
        screen = Screen()
        with ExitStack() as opened:
            page = self._preview(avatar)
            if page is not None:
                opened.callback(page.close)
            senders = open_senders(self.send, options)
            # From here on the session closes them.
            opened.pop_all()
        session = LiveSession(
            source, performer, senders, options.avatar, self.neutral_file, screen.say, page
        )
        targets = ", ".join(sender.name for sender in senders)
        screen.say(f"{source.name} -> {targets or 'nobody but the preview'}")
        if page is not None:
            page.attend(session)
            screen.say(f"Preview: {page.url}")
        report = screen.run(session)
        print(summary(report))
        if self.report is not None:
            _write(report, self.report)
        return 0

    def _source(self) -> Source:
        if self.video is not None and self.url is not None:
            raise UsageError("--video and --url are given both. Choose one.")
        if self.loop and self.video is None:
            raise UsageError("--loop repeats a file; name it with --video FILE.")
        if self.video is not None:
            return FileSource(self.video, self.loop)
        if self.url is not None:
            return StreamSource(self.url)
        return CameraSource(self.camera, self.picture)

    def _performer_config(self, avatar: Avatar | None) -> PerformerConfig:
        return PerformerConfig(
            self.track,
            self.motion,
            self.neutral == "auto",
            None if self.profile is None else read_profile(self.profile, weights_digest()),
            self.curves.swap_sides,
            self.curves.tuning([] if avatar is None else [avatar.rig]),
        )

    def _preview(self, avatar: Avatar | None) -> PreviewPage | None:
        if not self.preview:
            return None
        # Ada's controls are ARKit's 52, in their order.
        shown = avatar or catalog.resolve("ada")
        return PreviewPage(Address(LOOPBACK, self.preview_port), shown)

    def _send_options(self, avatar: Avatar | None) -> SendOptions:
        mapping = None if self.mapping is None else read_mapping(self.mapping).profile()
        return SendOptions(
            avatar.name if avatar else "arkit",
            avatar.rig if avatar else ARKIT,
            self.names,
            mapping,
            self.subject,
            self.allow_origin,
        )


class Screen:
    """A status line where somebody watches, and sentences on stderr in any case."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Above the status line."""
        self._console.print(f"freeavatar: {sentence}", markup=False)

    def run(self, session: LiveSession) -> LiveReport:
        """Ctrl-C is how most performances end."""
        with typed_keys() as typed:
            status = Live(console=self._console, auto_refresh=False, transient=True)
            try:
                if not self._console.is_terminal:
                    return session.run()
                with status:
                    return session.run(_watch(session, status, typed))
            except KeyboardInterrupt:
                return session.report()


def _watch(
    session: LiveSession, status: Live, typed: Callable[[], str]
) -> Callable[[LiveReport], None]:
    def on_status(report: LiveReport) -> None:
        for key in typed().lower():
            if key == "c":
                session.calibrate()
            elif key == "q":
                session.stop()
        status.update(Text(status_line(report)), refresh=True)

    return on_status


def status_line(report: LiveReport) -> str:
    """One line of numbers."""
    slowest = max(report.senders, key=lambda sender: sender.latency_95_ms, default=None)
    late = (
        f"latency {slowest.latency_median_ms:.0f} ms, 95 % {slowest.latency_95_ms:.0f} ms"
        if slowest
        else ""
    )
    face = "" if report.found else " · no face yet"
    return (
        f"{report.frames_per_s:.1f} frames/s · {late} · {report.dropped} of {report.pictures} "
        f"dropped{face} · c calibrate, q stop"
    )


def summary(report: LiveReport) -> str:
    """What happened, a line per receiver."""
    lines = [
        f"{report.source}: {report.pictures} pictures in {report.duration_s:.1f} s, "
        f"{report.shown} shown ({report.frames_per_s:.1f}/s), {report.dropped} dropped, "
        f"face seen in {report.found}"
    ]
    lines += [
        f"  {sender.name}: {sender.frames} frames in {sender.packets} packets, latency "
        f"{sender.latency_median_ms:.1f} ms (95 %: {sender.latency_95_ms:.1f}), "
        f"{sender.dropped} dropped, {sender.failed} failed"
        for sender in report.senders
    ]
    return "\n".join(lines)


def _write(report: LiveReport, path: Path) -> None:
    try:
        path.write_text(json.dumps(asdict(report), indent=1) + "\n", "utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error
