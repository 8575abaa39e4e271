"""`freeavatar embed`: expressions as vectors, for search and comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from freeavatar.capture.track import TrackConfig
from freeavatar.cli.inputs import Inputs, media_files
from freeavatar.cli.terminal import Terminal
from freeavatar.embedding import ExpressionTable, embed_crops, embed_media
from freeavatar.errors import InputError, UsageError
from freeavatar.export.files import finished_file, refuse_existing
from freeavatar.export.npz import write_embeddings
from freeavatar.expression.runtime import ExpressionEncoder


@dataclass(frozen=True)
class Command:
    """Describe expressions as vectors: faces that express the same lie close together.

    Writes one .npz with four arrays: embeddings [n, d] (float32, unit length, zero where no face
    was found), source [n], time_s [n] and found [n]. A picture gives one row, a video one row for
    each frame; a folder stands for the media files in it, in name order.
    """

    inputs: Inputs
    """Pictures, videos, or folders that hold them."""
    out: Path
    """The .npz file to write."""
    crops: bool = False
    """The pictures are face crops already (48 px and up, grey or colour): nothing is detected, and
    every picture gives a row."""
    overwrite: bool = False
    """Replace the file of an earlier run."""
    track: Annotated[TrackConfig, tyro.conf.arg(name="")] = field(default_factory=TrackConfig)

    def run(self) -> int:
        """Embed every input; the exit code is 1 when one of them failed."""
        if not self.inputs:
            raise UsageError(
                "Name at least one picture, video or folder. See: freeavatar embed --help"
            )
        if self.track.actor == "all":
            raise UsageError("embed follows one actor of an input: use --actor NUMBER or largest.")
        refuse_existing([self.out], self.overwrite)
        terminal = Terminal()
        sources = self._sources(terminal)
        encoder = ExpressionEncoder.load()
        if self.crops:
            with terminal.progress("face crops") as on_progress:
                table = embed_crops(sources, encoder, terminal.failed, on_progress)
        else:
            table = ExpressionTable.joined(
                [self._embed(source, encoder, terminal) for source in sources]
            )
        if len(table.found):
            with finished_file(self.out, self.overwrite) as path:
                write_embeddings(path, table.embeddings, table.source, table.time_s, table.found)
            print(f"{len(table.found)} rows, {int(table.found.sum())} with a face -> {self.out}")
        return terminal.close()

    def _embed(
        self, source: Path, encoder: ExpressionEncoder, terminal: Terminal
    ) -> ExpressionTable:
        try:
            with terminal.progress(source.name) as on_progress:
                return embed_media(source, encoder, self.track, on_progress)
        except InputError as error:
            terminal.failed(error)
            return ExpressionTable.empty()

    def _sources(self, terminal: Terminal) -> list[Path]:
        """Files in the order given, those of a folder in name order."""
        sources: list[Path] = []
        for given in self.inputs:
            try:
                sources += media_files(given)
            except InputError as error:
                terminal.failed(error)
        return sources
