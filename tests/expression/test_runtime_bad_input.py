"""The encoder at run time: any picture through `embed --crops`, clear errors for the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from freeavatar.cli import main as front
from freeavatar.errors import WeightsError
from freeavatar.expression.runtime import ExpressionEncoder
from freeavatar.inference import WEIGHTS_FOLDER

SHIPPED = WEIGHTS_FOLDER / "expression.onnx"
needs_weights = pytest.mark.skipif(not SHIPPED.is_file(), reason="no shipped weights")


@needs_weights
@pytest.mark.parametrize(
    "shape", [(1, 112, 112, 3), (1, 224, 224, 1), (1, 224, 224, 4), (224, 224, 3), (1, 3, 224, 224)]
)
def test_crops_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    encoder = ExpressionEncoder.load()
    with pytest.raises((ValueError, TypeCheckError)):
        encoder.encode(np.zeros(shape, np.uint8))


@needs_weights
def test_no_crops_give_no_rows() -> None:
    seen = ExpressionEncoder.load().encode(np.zeros((0, 224, 224, 3), np.uint8))
    assert len(seen.embeddings) == len(seen.features) == 0


def test_a_network_of_another_kind_is_refused(tmp_path: Path) -> None:
    if not (WEIGHTS_FOLDER / "animator.onnx").is_file():
        pytest.skip("no shipped animator")
    with pytest.raises(WeightsError, match="is no expression encoder"):
        ExpressionEncoder.load(WEIGHTS_FOLDER / "animator.onnx")


@needs_weights
def test_a_network_that_is_cut_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="cannot be run"):
        ExpressionEncoder.load(cut)


@needs_weights
def test_crops_of_any_size_and_channel_count_give_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = {
        "grey": rng.integers(0, 256, (60, 60), dtype=np.uint8),
        "alpha": rng.integers(0, 256, (130, 90, 4), dtype=np.uint8),
        "deep": rng.integers(0, 65536, (80, 80, 3), dtype=np.uint16),
        "pixel": rng.integers(0, 256, (1, 1, 3), dtype=np.uint8),
        "bar": rng.integers(0, 256, (3, 500, 3), dtype=np.uint8),
        "large": rng.integers(0, 256, (900, 700, 3), dtype=np.uint8),
    }
    folder = tmp_path / "crops"
    folder.mkdir()
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    out = tmp_path / "rows.npz"
    assert front.main(["embed", "--crops", str(folder), "--out", str(out)]) == 0
    with np.load(out) as rows:
        assert rows["found"].all()
        np.testing.assert_allclose(np.linalg.norm(rows["embeddings"], axis=1), 1.0, atol=1e-4)


def test_an_empty_folder_of_crops_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crops").mkdir()
    out = tmp_path / "rows.npz"
    assert front.main(["embed", "--crops", str(tmp_path / "crops"), "--out", str(out)]) == 1
    assert "No video or picture" in capsys.readouterr().err
    assert not out.exists()


def test_weights_with_a_wrong_checksum_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from freeavatar import inference

    if not SHIPPED.is_file():
        pytest.skip("no shipped weights")
    for name in ("manifest.json", "expression.onnx"):
        shutil.copy(WEIGHTS_FOLDER / name, tmp_path)
    data = bytearray((tmp_path / "expression.onnx").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "expression.onnx").write_bytes(data)
    monkeypatch.setattr(inference, "WEIGHTS_FOLDER", tmp_path)
    for cached in (inference.manifest, inference.shipped):
        cached.cache_clear()
    try:
        with pytest.raises(WeightsError, match="is damaged"):
            ExpressionEncoder.load()
    finally:
        for cached in (inference.manifest, inference.shipped):
            cached.cache_clear()
