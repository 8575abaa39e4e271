"""Measures of an expression space agree with spaces whose answer is known."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from freeavatar.errors import DataError
from freeavatar.expression import evaluate
from freeavatar.rig import ARKIT


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def people_and_moods(num_people: int = 6, num_moods: int = 8) -> tuple[np.ndarray, np.ndarray]:
    grid = np.indices((num_people, num_moods)).reshape(2, -1)
    return grid[0], grid[1]


def one_hot(labels: np.ndarray) -> np.ndarray:
    return (labels[:, None] == np.unique(labels)).astype(np.float64)


def test_a_perfect_space_answers_all_triplets_and_noise_a_third(rng: np.random.Generator) -> None:
    shapes = rng.normal(size=(200, 5))
    distances = evaluate.pairwise(shapes)
    triplets = evaluate.draw_triplets(distances, 3000, rng)
    assert evaluate.triplet_accuracy(shapes, triplets) == 1.0
    assert abs(evaluate.triplet_accuracy(rng.normal(size=(200, 5)), triplets) - 1 / 3) < 0.04
    assert np.isnan(evaluate.triplet_accuracy(shapes, triplets[:0]))
    shapes[triplets[0, 0]] = np.nan
    assert not evaluate.rightly_answered(shapes, triplets)[0]


def test_typed_triplets_have_their_classes_and_are_clear_by_every_measure(
    rng: np.random.Generator,
) -> None:
    shapes = np.concatenate([rng.normal(c, 0.6, (60, 3)) for c in (0.0, 2.0, 4.0, 7.0)])
    measures = [evaluate.pairwise(shapes), evaluate.pairwise(shapes * [1.0, 2.0, 0.5])]
    classes = evaluate.expression_classes(shapes, 4, rng)
    typed = evaluate.draw_typed_triplets(measures, classes, 300, rng)
    for kind, num_classes in (("one", 1), ("two", 2), ("three", 3)):
        triplets = typed[kind]  # type: ignore[index]
        assert len(triplets) == 300
        assert {len(set(row)) for row in classes[triplets]} == {num_classes}
        a, p, n = triplets.T
        for distances in measures:
            far = np.minimum(distances[a, n], distances[p, n])
            assert (distances[a, p] < 0.75 * far).all()


def test_classes_find_separate_groups(rng: np.random.Generator) -> None:
    truth = np.repeat(np.arange(5), 30)
    shapes = rng.normal(0.0, 0.1, (150, 2)) + np.stack([truth * 3.0, truth % 2 * 4.0], axis=1)
    classes = evaluate.expression_classes(shapes, 5, rng)
    assert all(len(set(classes[truth == i])) == 1 for i in range(5))
    assert len(set(classes)) == 5


def test_retrieval_counts_relevant_neighbours(rng: np.random.Generator) -> None:
    _, moods = people_and_moods()
    relevant = moods[:, None] == moods[None]
    found = evaluate.retrieval_precision(one_hot(moods), relevant, (1, 5))
    assert found == {1: 1.0, 5: 1.0}
    blind = one_hot(moods)
    blind[:] = np.nan
    assert evaluate.retrieval_precision(blind, relevant, (1,)) == {1: 0.0}


def test_relevance_is_the_truly_nearest_share(rng: np.random.Generator) -> None:
    shapes = rng.normal(size=(101, 3))
    distances = evaluate.pairwise(shapes)
    relevant = evaluate.relevant_by_truth(distances, 0.05)
    assert (relevant.sum(axis=1) == 5).all()
    assert not relevant.diagonal().any()
    others = ~relevant & ~np.eye(101, dtype=bool)
    assert (
        np.where(relevant, distances, 0).max(1) <= np.where(others, distances, 9e9).min(1)
    ).all()


def test_leakage_tells_people_from_expressions(rng: np.random.Generator) -> None:
    people, moods = people_and_moods()
    same = moods[:, None] == moods[None]
    noise = rng.normal(0.0, 0.05, (len(people), 8))
    of_moods = evaluate.identity_leakage(one_hot(moods) + noise, people, same, rng)
    of_people = evaluate.identity_leakage(one_hot(people) + noise[:, :6], people, same, rng)
    assert of_moods.expression_wins == of_moods.neighbour_same_expression == 1.0
    assert of_moods.neighbour_same_person == 0.0
    assert of_moods.person_probe < 0.5
    assert of_people.neighbour_same_person == of_people.person_probe == 1.0
    assert of_people.expression_wins == 0.0


def test_the_control_probe_finds_what_features_hold(rng: np.random.Generator) -> None:
    controls = rng.uniform(0, 1, (200, 52))
    people = np.repeat(np.arange(4), 50)
    mixing = rng.normal(size=(52, 60))
    probe = evaluate.control_probe(controls @ mixing, controls, people)
    assert min(probe.values()) > 0.95
    assert abs(evaluate.control_probe(rng.normal(size=(200, 20)), controls, people)["all"]) < 0.1
    # A rig that cannot show brows says nothing about them.
    controls[:, ARKIT.columns("brow")] = np.nan
    assert np.isnan(evaluate.control_probe(controls[:, 46:], controls, people)["brow"])


def test_the_mirror_test_needs_left_and_right(rng: np.random.Generator) -> None:
    values = np.zeros((40, 52))
    left, right = ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")
    values[:20, left] = rng.uniform(0.8, 1.0, 20)
    values[20:, right] = rng.uniform(0.8, 1.0, 20)
    values[:, ARKIT.index("jawOpen")] = rng.uniform(0, 0.1, 40)
    mirrored = values[:, ARKIT.mirror_columns]
    distances = evaluate.pairwise(values)
    to_mirror = np.linalg.norm(mirrored[:, None] - values[None], axis=2)
    cases = evaluate.mirror_cases(to_mirror, distances, clearness=1e9)
    assert len(cases.asked) > 20
    assert evaluate.mirror_accuracy(values, mirrored[cases.asked], cases) == 1.0
    assert evaluate.mirror_accuracy(values, values[cases.asked], cases) == 0.0
    none = evaluate.MirrorCases(*(cases.asked[:0],) * 3)
    assert np.isnan(evaluate.mirror_accuracy(values, values[:0], none))


def test_drift_is_measured_in_typical_distances(rng: np.random.Generator) -> None:
    clean = rng.normal(size=(50, 4))
    typical = evaluate.typical_distance(clean)
    moved = clean + 0.5 * typical * np.array([1.0, 0.0, 0.0, 0.0])
    moved[:10] = np.nan
    clean[0] = np.nan
    found = evaluate.drift(clean, moved, typical)
    assert found.median == pytest.approx(0.5)
    assert found.without_output == pytest.approx(9 / 49)


def test_turning_drifts_only_where_the_space_sees_the_turn(rng: np.random.Generator) -> None:
    people = np.repeat(np.arange(3), 100)
    yaw_rad = rng.uniform(-0.8, 0.8, 300)
    shapes = rng.normal(size=(300, 2))
    distances = evaluate.pairwise(shapes)
    blind = evaluate.turn_drift(shapes, distances, people, yaw_rad, 1.0)
    turned = 3.0 * (np.abs(yaw_rad) > 0.5)
    seeing = np.concatenate([shapes, turned[:, None]], axis=1)
    assert blind.median < 0.3
    assert evaluate.turn_drift(seeing, distances, people, yaw_rad, 1.0).median > 2.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "lacks the column"),
        ("a,p,n,type\n0,1,x,one\n", "no row number"),
        ("a,p,n,type\n0,1\n", "no row number"),
        ("a,p,n,type\n0,1,9,one\n", "names picture 9 of 3"),
    ],
)
def test_wrong_triplet_files_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "triplets.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        evaluate.read_triplets(path, 3)
    with pytest.raises(DataError, match="no file"):
        evaluate.read_triplets(tmp_path / "absent.csv", 3)
    with pytest.raises(DataError, match=r"no faces-48px\.tar"):
        evaluate.read_human_triplets(tmp_path)


@pytest.fixture
def human_triplets(tmp_path: Path) -> Path:
    """Five grey pictures in a tar and one triplet over them."""
    (tmp_path / "triplets.csv").write_text("a,p,n,type\n0,1,4,one\n")
    with tarfile.open(tmp_path / "faces-48px.tar", "w") as archive:
        for i in (3, 1, 0, 4, 2):
            data = cv2.imencode(".png", np.full((48, 48, 3), 50 * i, np.uint8))[1].tobytes()
            entry = tarfile.TarInfo(f"face-{i}.png")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return tmp_path


def test_human_triplets_count_pictures_in_the_order_of_their_names(human_triplets: Path) -> None:
    pictures, triplets, kinds = evaluate.read_human_triplets(human_triplets)
    assert list(pictures[:, 0, 0, 0]) == [0, 50, 100, 150, 200]
    assert triplets.tolist() == [[0, 1, 4]]
    assert kinds == ["one"]


BLOCK = 512


@pytest.mark.parametrize("kept", [0, 100, BLOCK, BLOCK + 40, 2 * BLOCK, 3 * BLOCK, 4 * BLOCK])
def test_a_tar_that_is_cut_anywhere_is_named(human_triplets: Path, kept: int) -> None:
    archive = human_triplets / "faces-48px.tar"
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"faces-48px\.tar is damaged or cut short after \d files"):
        evaluate.read_human_triplets(human_triplets)


def test_human_triplets_that_are_no_text_or_no_pictures_are_named(human_triplets: Path) -> None:
    table = human_triplets / "triplets.csv"
    table.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"triplets\.csv cannot be read"):
        evaluate.read_human_triplets(human_triplets)
    with tarfile.open(human_triplets / "faces-48px.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("face-0.png"))
    with pytest.raises(DataError, match=r"face-0\.png .* not a readable picture"):
        evaluate.read_human_triplets(human_triplets)
    with tarfile.open(human_triplets / "faces-48px.tar", "w"):
        pass
    with pytest.raises(DataError, match="holds no picture"):
        evaluate.read_human_triplets(human_triplets)
