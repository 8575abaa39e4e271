"""The examination asks every method about the same pictures, and knows a perfect space."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from freeavatar.checkpoints import Checkpoint, save_checkpoint
from freeavatar.cli import main as front
from freeavatar.errors import DataError, WeightsError
from freeavatar.evaluation import corruptions, expression
from freeavatar.evaluation.cache import EncodingCache
from freeavatar.evaluation.expression import Judges, _read_renders, examine
from freeavatar.evaluation.peers import Encoded, Pictures, RawPixels, from_stored
from freeavatar.evaluation.report import Section, to_json, to_markdown
from freeavatar.evaluation.sheets import neighbour_sheet, spread_out
from freeavatar.evaluation.truth import canonical_head, control_distances
from freeavatar.expression.mae import MAEConfig, MaskedAutoencoder
from freeavatar.expression.pretrain import KIND as MAE
from freeavatar.expression.vit import ViTConfig
from freeavatar.rig import ARKIT
from freeavatar.training.shards import open_shards

EMOTIONS = 7
DRIFT_BY_TURNING = "Drift when the head turns, renders"


def painted(controls: np.ndarray, size: int = 144) -> np.ndarray:
    """Pictures whose rows of blocks spell the 52 controls, 0 to 1.5."""
    pictures = np.zeros((len(controls), size, size, 3), np.uint8)
    pixel = size // 144
    for i, column in enumerate((controls * 170).round().astype(np.uint8).T):
        top, left = pixel * (20 + 26 * (i // 13)), pixel * (20 + 8 * (i % 13))
        block = pictures[:, top : top + 26 * pixel, left : left + 8 * pixel]
        block[:] = column[:, None, None, None]
    return pictures


class Oracle:
    """Reads them back."""

    name = "freeavatar"
    fingerprint = "oracle"
    path = Path("oracle.onnx")
    num_asked = 0

    def __init__(self, path: Path | None = None) -> None:
        pass

    def encode(self, pictures: Pictures) -> Encoded:
        Oracle.num_asked += len(pictures)
        values = [
            pictures.crops[:, 8 + 52 * (i // 13) + 24, 8 + 16 * (i % 13) + 8, 0] / 170.0
            for i in range(52)
        ]
        controls = np.stack(values, axis=1)
        shapes = np.concatenate(canonical_head().shapes(controls), axis=1)
        return Encoded(shapes, controls)


def draw_controls(num: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (num, 52)) * (rng.random((num, 52)) < 0.15)


def write_set(folder: Path, controls: np.ndarray, faces: bool) -> Path:
    """Four people, whose faces move more or less than the canonical one: that is what is seen."""
    part = folder / "part-000"
    part.mkdir(parents=True)
    rng = np.random.default_rng(1)
    num = len(controls)
    head = rng.normal(0, 0.3, (num, 3))
    if faces:
        emotion = rng.dirichlet(np.full(EMOTIONS, 0.4), num)
        split = np.where(np.arange(num) < 10, "train", "val")
        np.save(part / "crops.npy", painted(controls))
        np.savez(part / "truth.npz", teacher=controls, emotion=emotion, head_rad=head,
                 split=split, quality=np.ones(num))  # fmt: skip
        (folder / "index.json").write_text("{}")
    else:
        people = np.arange(num) % 4
        strength = rng.uniform(0.6, 1.4, (4, 52))
        np.save(part / "crops.npy", painted(controls * strength[people], size=288))
        np.savez(part / "truth.npz", arkit=controls, actor=people, head_rad=head)
        index = {"shows": [[True] * 52] * 4, "strength": strength.tolist()}
        (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setattr(expression, "OurEncoder", Oracle)
    controls = draw_controls(120)
    return {
        "renders": write_set(tmp_path / "renders", controls, faces=False),
        "faces": write_set(tmp_path / "faces", controls[:60], faces=True),
    }


def small(sets: dict[str, Path]) -> Judges:
    return Judges(
        sets["renders"], faces=sets["faces"], num_triplets=200, num_damaged=3, num_classes=6
    )


def values(sections: list[Section], title: str) -> dict[str, dict[str, float]]:
    (section,) = (section for section in sections if section.title == title)
    return {row.measure: row.values for row in section.rows}


def test_who_sees_the_truth_is_right(sets: dict[str, Path], tmp_path: Path) -> None:
    outcome = examine(small(sets), tmp_path / "cache")
    triplets = values(outcome.sections, "Triplets on held-out people")
    assert triplets["all (600)"]["freeavatar"] > 0.95
    assert triplets["all (600)"]["raw pixels"] < triplets["all (600)"]["freeavatar"]
    probe = values(outcome.sections, "ARKit controls by a linear probe")
    assert probe["all"]["freeavatar"] > 0.9
    identity = values(outcome.sections, "Retrieval and identity")
    assert identity["precision at 1"]["freeavatar"] > 0.5
    assert identity["person read by a linear probe"]["freeavatar"] < 0.5
    drift = values(outcome.sections, "Drift under damage, renders")
    assert set(corruptions.IN_PLACE) <= set(drift)
    assert drift["blur"]["freeavatar"] < drift["dark + noise"]["freeavatar"]
    assert outcome.neighbours is not None


def test_faces_are_compared_by_what_they_do_and_probed_for_their_sliders(tmp_path: Path) -> None:
    """The first half of a smile and the whole of one that goes half as far: the same face."""
    part = tmp_path / "part-000"
    part.mkdir()
    smile, sneer = ARKIT.index("mouthSmileLeft"), ARKIT.index("noseSneerLeft")
    arkit = np.zeros((3, 52))
    arkit[:, smile] = (0.5, 1.0, 1.0)
    strength, shows = np.ones((2, 52)), np.ones((2, 52), bool)
    strength[1, smile], shows[1, sneer] = 0.5, False
    np.save(part / "crops.npy", np.zeros((3, 144, 144, 3), np.uint8))
    np.savez(part / "truth.npz", arkit=arkit, actor=[0, 1, 0], head_rad=np.zeros((3, 3)))
    index = {"shows": shows.tolist(), "strength": strength.tolist()}
    (tmp_path / "index.json").write_text(json.dumps(index))
    renders = _read_renders(open_shards(tmp_path), 3)
    np.testing.assert_allclose(renders.controls[:, smile], [0.5, 0.5, 1.0], atol=1e-6)
    assert renders.distances[0, 1] < 1e-6
    assert renders.distances[1, 2] > 0.1
    np.testing.assert_allclose(renders.known[:, smile], [0.5, 1.0, 1.0], atol=1e-6)
    np.testing.assert_array_equal(np.isnan(renders.known[:, sneer]), [False, True, False])


def turned_set(folder: Path, controls: np.ndarray, **index: float) -> Path:
    """A render set with more in its index."""
    write_set(folder, controls, faces=False)
    told = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(told | index))
    return folder


def test_a_turned_head_is_compared_with_the_same_face(
    sets: dict[str, Path], tmp_path: Path
) -> None:
    still = turned_set(tmp_path / "turned", draw_controls(120), turned_rad=0.7854)
    judges = dataclasses.replace(small(sets), turned=still)
    found = values(examine(judges, tmp_path / "cache").sections, DRIFT_BY_TURNING)
    assert found["yaw 45 degrees"]["freeavatar"] == pytest.approx(0.0, abs=1e-6)
    assert found["yaw 45 degrees: no answer"]["freeavatar"] == 0.0


def test_turned_faces_must_be_those_of_the_renders(sets: dict[str, Path], tmp_path: Path) -> None:
    controls = draw_controls(120)
    folders = {
        "turned": turned_set(tmp_path / "frontal", controls),
        "made otherwise|turned": turned_set(tmp_path / "other", controls, turned_rad=0.7, seed=9),
        "other expressions": turned_set(tmp_path / "changed", controls[::-1], turned_rad=0.7),
    }
    for said, folder in folders.items():
        with pytest.raises(DataError, match=said):
            examine(dataclasses.replace(small(sets), turned=folder), tmp_path / "cache")


def test_a_second_examination_asks_nothing_again(sets: dict[str, Path], tmp_path: Path) -> None:
    first = examine(small(sets), tmp_path / "cache")
    asked = Oracle.num_asked
    second = examine(small(sets), tmp_path / "cache")
    assert Oracle.num_asked == asked
    assert to_json(first.sections, first.facts) == to_json(second.sections, second.facts)


def test_a_damaged_cache_file_is_made_again(tmp_path: Path) -> None:
    pictures = from_stored(painted(draw_controls(3)))
    cache = EncodingCache(tmp_path)
    first = cache.encode(RawPixels(), pictures)
    (file,) = tmp_path.glob("*.npz")
    for damage in (b"", file.read_bytes()[:100]):
        file.write_bytes(damage)
        again = cache.encode(RawPixels(), pictures)
        np.testing.assert_array_equal(first.embeddings, again.embeddings)


def test_the_command_writes_report_and_sheet(
    sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["evaluate", "expression", "--out", str(out), "--faces", str(sets["faces"])]
    assert front.main(arguments) == 0
    assert "## Triplets on real faces" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["facts"]["faces"] == "50 outside the training split of faces"
    assert {"report.md", "neighbours.png", "cache"} <= {path.name for path in out.iterdir()}
    assert front.main(arguments) == 1
    assert "exists already" in capsys.readouterr().err
    assert front.main([*arguments, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--renders", "faces", "no render set"),
        ("--faces", "renders", "no face set"),
        ("--renders", "absent", "not a data set"),
        ("--triplets", "renders", "no set of human triplets"),
        ("--encoder", "renders/index.json", "Nothing to judge by"),
        ("--components", "renders", "Nothing to judge by"),
    ],
)
def test_wrong_folders_are_one_sentence(
    sets: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    name: str,
    said: str,
) -> None:
    out = tmp_path / "out"
    assert front.main(["evaluate", "expression", "--out", str(out), option, str(tmp_path / name)])
    assert said in capsys.readouterr().err
    assert not (out / "report.json").exists()


def test_a_missing_peer_is_named(sets: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No face_blendshapes\.onnx"):
        examine(Judges(sets["renders"], components=tmp_path), tmp_path / "cache")


def test_true_distances_know_expressions() -> None:
    head = canonical_head()
    controls = np.zeros((5, 52))
    controls[1, ARKIT.index("browInnerUp")] = 1.0
    controls[2, ARKIT.index("jawOpen")] = 1.0
    controls[3] = controls[1] + controls[2]
    controls[4, ARKIT.index("eyeLookUpLeft")] = 1.0
    for distances in (head.distances(controls), control_distances(controls)):
        np.testing.assert_allclose(distances, distances.T, atol=1e-6)
        assert distances.diagonal().max() < 1e-6
        assert distances[0, 1:].min() > 0.3
        # What happens in two regions adds up.
        assert distances[0, 3] > 0.9 * max(distances[0, 1], distances[0, 2])
    # Eyes that are shut look nowhere.
    controls[:, ARKIT.index("eyeBlinkLeft")] = controls[:, ARKIT.index("eyeBlinkRight")] = 1.0
    looking, shut = head.distances(controls[[0, 4]]), head.distances(controls[[0, 0]])
    lids = np.zeros((2, 52))
    lids[1, ARKIT.index("eyeLookUpLeft")] = 1.0
    assert looking[0, 1] < head.distances(lids)[0, 1]
    assert shut[0, 1] < 1e-6


@pytest.mark.parametrize("name", list(corruptions.IN_PLACE))
def test_damage_repeats_and_keeps_the_picture_its_size(name: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (144, 144, 3), dtype=np.uint8)
    hurt = corruptions.IN_PLACE[name]
    once = hurt(picture, np.random.default_rng(1))
    np.testing.assert_array_equal(once, hurt(picture, np.random.default_rng(1)))
    assert once.shape == picture.shape
    assert (once != picture).mean() > 0.02


def test_a_rolled_picture_keeps_its_middle() -> None:
    picture = np.zeros((144, 144, 3), np.uint8)
    picture[70:74, 70:74] = 255
    turned = corruptions.rolled(picture, np.radians(45))
    y, x = (axis.mean() for axis in np.nonzero(turned[..., 0] > 100))
    np.testing.assert_allclose([y, x], (turned.shape[0] - 1) / 2, atol=0.6)


def test_tables_leave_out_what_is_unknown() -> None:
    section = Section("Title", "Note.")
    section.add("one", {"a": 0.5, "b": float("nan")}, 1 / 3)
    text = to_markdown([section], {"encoder": "x"}, ["a", "b", "c"])
    assert "| one | 0.500 |  | 0.333 |" in text
    assert to_json([section], {})["sections"][0]["rows"][0]["values"] == {"a": 0.5, "b": None}


def test_sheets_show_each_query_beside_its_nearest() -> None:
    points = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    crops = np.stack([np.full((16, 16, 3), 40 * i + 20, np.uint8) for i in range(5)])
    assert set(spread_out(points, 3)) >= {4}
    assert len(spread_out(points, 9)) == 5
    sheet = neighbour_sheet(crops, points, np.array([0, 2]), num_neighbours=2)
    assert sheet.shape == (16, 2 * 3 * 16 + 24, 3)
    assert sheet[8, 24, 0] == 60  # the nearest of 0 is 1
    assert sheet[8, 3 * 16 + 24 + 24, 0] == 140  # the nearest of 2 is 3


def test_a_masked_autoencoder_is_asked_who_it_is_on_as_many_numbers(
    sets: dict[str, Path], tmp_path: Path
) -> None:
    trunk = ViTConfig(image_size=32, patch_size=16, width=48, depth=1, num_heads=2)
    config = MAEConfig(trunk, decoder_width=16, decoder_depth=1, decoder_heads=2)
    checkpoint = tmp_path / "mae.safetensors"
    tensors = dict(MaskedAutoencoder(config).state_dict())
    save_checkpoint(checkpoint, Checkpoint(MAE, dataclasses.asdict(config), {}, tensors))
    judges = dataclasses.replace(small(sets), faces=None, mae=checkpoint)
    outcome = examine(judges, tmp_path / "cache")
    identity = values(outcome.sections, "Retrieval and identity")
    found = identity["person read from 32 principal components of MAE features alone"]
    assert 0 <= found["MAE features"] <= 1
    assert "MAE features" in outcome.methods
    # Who sees the truth alone knows nothing of who it is, on fewer numbers neither.
    assert identity["person read from 32 principal components"]["freeavatar"] < 0.6
    own = identity["nearest picture of the same person shows the same expression"]
    assert own["freeavatar"] > own["raw pixels"]


def test_what_is_no_masked_autoencoder_is_refused_before_the_work(
    sets: dict[str, Path], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"nothing")
    stages: list[str] = []
    judges = dataclasses.replace(small(sets), mae=wrong)
    with pytest.raises(WeightsError):
        examine(
            judges, tmp_path / "cache", progress=lambda stage, _done, _all: stages.append(stage)
        )
    assert not stages
