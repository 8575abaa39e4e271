"""Published tables replace the old ones and nothing else."""

from __future__ import annotations

import json

import pytest

from freeavatar.rig import ARKIT_NAMES
from provenance import Provenance, cpu_model, provenance, read_part, write_part
from publish import Options, between, main, readme_table, warnings_of
from scores import GROUPS

OLD = Provenance("2026-11-25 10:00", "one core", {"expression.onnx": "aaa", "renderer": "1"})
NEW = Provenance("2026-11-26 09:30", "two cores", {"expression.onnx": "bbb", "renderer": "2"})


def quality(value: float) -> dict[str, object]:
    measures = ("correlation", "error", "fitted_error", "still_error")
    return {
        "groups": {group: dict.fromkeys(measures, value) for group in ("all", *GROUPS)},
        "head_correlation": {"yaw": 0.99, "pitch": 0.98, "roll": 0.97},
        "head_error_deg": {"yaw": 1.0, "pitch": 4.25, "roll": 0.5},
        "channels": dict.fromkeys(ARKIT_NAMES, value) | {"tongueOut": None},
        "channel_errors": dict.fromkeys(ARKIT_NAMES, 0.125),
    }


QUALITY = {"freeavatar": quality(0.6), "mediapipe": quality(0.4)}
SPEED = {
    f"720p, {cores}": {
        name: [{"frames": 100, "run_s": seconds}, {"frames": 100, "run_s": seconds}]
        for name, seconds in (("freeavatar", 2.0), ("mediapipe", 1.0))
    }
    for cores in ("one core", "two cores")
}


def test_only_what_lies_between_the_marks_changes():
    page = "# A\n\n<!-- SPEED -->\nold | \\1\n<!-- /SPEED -->\n\nend\n"
    new = between(page, "SPEED", "| new \\g<1> |")
    assert new == "# A\n\n<!-- SPEED -->\n| new \\g<1> |\n<!-- /SPEED -->\n\nend\n"
    assert between(new, "SPEED", "| new \\g<1> |") == new
    with pytest.raises(ValueError, match="QUALITY"):
        between(page, "QUALITY", "x")


def test_a_part_keeps_when_and_with_which_weights_it_was_made(tmp_path):
    made = provenance()
    write_part(tmp_path, "speed", made, {"720p": 1}, "| table |\n")
    assert read_part(tmp_path, "speed") == (made, {"720p": 1})
    assert read_part(tmp_path, "quality") is None
    (tmp_path / "old.json").write_text(json.dumps({"720p": 1}))
    origin, record = read_part(tmp_path, "old")
    assert (origin.date, origin.weights, record) == ("an unknown day", {}, {"720p": 1})
    with pytest.raises(ValueError, match="made"):
        write_part(tmp_path, "speed", made, {"made": 1}, "")


def test_parts_of_other_weights_than_the_newest_are_named():
    assert warnings_of({"quality": NEW, "speed": NEW}) == {}
    found = warnings_of({"quality": OLD, "speed": NEW})
    assert list(found) == ["quality"]
    assert "expression.onnx aaa (now bbb)" in found["quality"]
    # What no number here depends on may differ.
    assert "renderer" not in found["quality"]
    assert "not kept" in warnings_of({"speed": Provenance("", "two cores", {})})["speed"]


def test_the_processor_is_named_and_the_computer_is_not(tmp_path):
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel name\t: AMD EPYC\n\nmodel name\t: AMD EPYC\n")
    assert cpu_model(facts) == "AMD EPYC"
    assert cpu_model(tmp_path / "none") == ""


def test_the_short_table_marks_the_better_value():
    text = readme_table(NEW, QUALITY, NEW, SPEED)
    assert "`make bench`, 2026-11-26, two cores" in text
    assert "| brow / eye / gaze | **0.60 / 0.60 / 0.60** | 0.40 / 0.40 / 0.40 |" in text
    assert "| mean absolute error | 0.600 | **0.400** |" in text
    assert "one core (two cores) | 50 (50) | **100 (100)** |" in text
    assert "other weights" not in text
    assert "other weights" in readme_table(OLD, QUALITY, NEW, SPEED)


def test_publishing_fills_the_page_and_says_what_is_old(tmp_path):
    results = tmp_path / "results"
    write_part(results, "quality", OLD, QUALITY, "| groups |\n\nFrames.\n\n| clips |\n")
    write_part(results, "speed", NEW, SPEED, "| speeds |\n")
    (results / "speed.png").write_bytes(b"picture")
    page, readme = tmp_path / "benchmarks.md", tmp_path / "README.md"
    page.write_text("a\n<!-- QUALITY -->\n<!-- /QUALITY -->\n<!-- SPEED -->\n<!-- /SPEED -->\n")
    readme.write_text("<!-- RESULTS -->\nold\n<!-- /RESULTS -->\nkept\n")
    (tmp_path / "images").mkdir()
    main(Options(results, page, tmp_path / "images", readme))
    text = page.read_text()
    assert "2026-11-25, one core, expression.onnx aaa:" in text
    assert text.count("Of other weights than the newest part") == 1
    assert "| clips |" not in text
    assert "| pitch | 0.980 | 0.980 | 4.2 | 4.2 |" in text
    assert "| mouthFrown | 0.60 | 0.40 | 0.125 | 0.125 |" in text
    assert "| tongueOut | – | – | 0.125 | 0.125 |" in text
    assert text.index("| mouthClose |") < text.index(
        "| tongueOut | –", text.index("| mouthClose |")
    )
    assert "(images/speed.png)" in text
    assert (tmp_path / "images" / "speed.png").is_file()
    assert readme.read_text().endswith("kept\n")
    assert "old" not in readme.read_text().split("Against")[0]
