"""The FEC format: votes become triplets, and every broken line is named."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.datasets.fec import FecRow, load_triplets, open_fec, picture_path, read_fec
from freeavatar.errors import DataError
from freeavatar.expression.encoder import EncoderConfig
from freeavatar.expression.export import load_network
from freeavatar.expression.finetune import FinetuneConfig, finetune
from freeavatar.expression.vit import ViTConfig
from freeavatar.training.loop import LoopConfig

DRAWN = Path(__file__).parent / "fec"


def test_votes_become_types_odd_ones_and_agreement() -> None:
    rows = read_fec(DRAWN / "triplets.csv")
    assert [row.num_classes for row in rows] == [2, 2, 3, 1, 1]
    assert [row.odd_one for row in rows] == [2, 0, 0, None, 2]
    assert [row.agreement for row in rows] == [0.8, 1.0, 0.8, 0.5, 1.0]
    assert rows[0].faces[0].box == (0.2, 0.8, 0.1, 0.9)


def test_the_odd_face_is_the_negative(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        triplets = open_fec(DRAWN)
    # One has a tie, one lacks a picture.
    assert len(triplets) == 3
    assert caplog.messages == ["1 of 7 FEC faces are left out: 1 without a picture."]
    assert list(triplets.num_classes) == [2, 2, 3]
    smile_grin_sad, sad_gloomy_flat, flat_calm_smile = triplets.triplets
    assert smile_grin_sad[0] == flat_calm_smile[2]
    assert smile_grin_sad[2] == sad_gloomy_flat[0]
    assert sad_gloomy_flat[2] == flat_calm_smile[0]
    assert len(np.unique(triplets.triplets)) == len(triplets.crops)


def test_a_batch_holds_its_own_crops_and_repeats() -> None:
    triplets = open_fec(DRAWN)
    batch = triplets.draw(8, np.random.default_rng(0))
    again = triplets.draw(8, np.random.default_rng(0))
    assert batch.triplets.shape == (8, 3)
    np.testing.assert_array_equal(batch.triplets, again.triplets)
    drawn = {crop.tobytes() for crop in batch.crops}
    assert len(drawn) == len(batch.crops) <= len(triplets.crops)
    whole = {
        tuple(triplets.crops[i].tobytes() for i in row): kind
        for row, kind in zip(triplets.triplets, triplets.num_classes, strict=True)
    }
    for row, kind in zip(batch.triplets, batch.num_classes, strict=True):
        assert whole[tuple(batch.crops[i].tobytes() for i in row)] == kind


def test_pictures_are_found_by_hash_and_by_name(tmp_path: Path) -> None:
    url = "https://example.org/a/My%20face.JPG?x=1"
    assert picture_path(tmp_path, url) is None
    (tmp_path / "My face.png").touch()
    assert picture_path(tmp_path, url) == tmp_path / "My face.png"
    (tmp_path / "My%20face.JPG").touch()
    assert picture_path(tmp_path, url) == tmp_path / "My%20face.JPG"
    hashed = tmp_path / (hashlib.sha1(url.encode()).hexdigest() + ".webp")
    hashed.touch()
    assert picture_path(tmp_path, url) == hashed


GOOD = (DRAWN / "triplets.csv").read_text().splitlines()[0]


def test_votes_alone_train_a_network(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    trunk = ViTConfig(patch_size=28, width=16, depth=1, num_heads=2)
    loop = LoopConfig(num_steps=2, log_every=1, device="cpu", warmup_steps=0, ema_decay=0.0)
    config = FinetuneConfig(
        model=EncoderConfig(trunk, embedding_size=4, token_size=4, num_features=8),
        renders_per_batch=12,
        faces_per_batch=4,
        loop=loop,
    )
    lines: list[dict[str, float]] = []
    final = finetune([], [], None, tmp_path / "run", config, lines.append, open_fec(DRAWN))
    assert len(lines) == 2
    for line in lines:
        assert all(np.isfinite(value) for value in line.values()), line
        assert line["votes"] > 0
        # Nobody says anything else of these faces.
        assert line["loss"] == pytest.approx(config.votes * line["votes"], abs=1e-4)
    still = dataclasses.replace(config, loop=dataclasses.replace(loop, learning_rate=0.0))
    start = finetune([], [], None, tmp_path / "still", still, votes=open_fec(DRAWN))
    learned, drawn = (load_network(path).embedding.weight for path in (final, start))
    assert not torch.equal(learned, drawn)


def test_without_renders_and_votes_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    for votes, weight in ((None, 1.0), (open_fec(DRAWN), 0.0)):
        config = FinetuneConfig(votes=weight)
        with pytest.raises(DataError, match="nothing to compare"):
            finetune([], [], None, tmp_path / "run", config, votes=votes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a,b,c", "3 columns, at least 16"),
        (GOOD.replace("TWO_CLASS_TRIPLET", "FOUR_CLASS"), "column 16 is 'FOUR_CLASS'"),
        (GOOD.replace("0.2", "left", 1), "not four numbers"),
        (GOOD.replace("0.2", "0.9", 1), "not shares of a picture"),
        (GOOD.replace("0.8", "180", 1), "not shares of a picture"),
        (GOOD + ",annotator9", "do not come in pairs"),
        (GOOD[:-1] + "4", "a vote is '4'"),
        ("," + GOOD.partition(",")[2], "a URL is empty"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(DataError, match="line 2 is no FEC triplet") as error:
        read_fec(path)
    assert said in str(error.value)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No FEC file"):
        open_fec(tmp_path)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match="is empty"):
        open_fec(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match="Cannot read"):
        read_fec(tmp_path / "binary.csv")
    with pytest.raises(DataError, match="no folder of pictures"):
        load_triplets(read_fec(DRAWN / "triplets.csv"), tmp_path / "absent")


def test_without_pictures_it_says_how_to_name_them(tmp_path: Path) -> None:
    shutil.copy(DRAWN / "triplets.csv", tmp_path)
    with pytest.raises(DataError, match="SHA-1 of their URL"):
        open_fec(tmp_path)


def test_unreadable_pictures_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(DRAWN, tmp_path / "fec")
    (tmp_path / "fec" / "pictures" / "smile.png").write_bytes(b"\x89PNG cut")
    with caplog.at_level(logging.WARNING):
        triplets = open_fec(tmp_path / "fec")
    assert len(triplets) == 1
    assert "1 unreadable" in caplog.text


def test_no_votes_are_no_answer() -> None:
    row = read_fec(DRAWN / "triplets.csv")[0]
    silent = FecRow(row.faces, row.num_classes, ())
    assert silent.odd_one is None
    assert silent.agreement == 0.0
