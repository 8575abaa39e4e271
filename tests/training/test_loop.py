"""A run stopped at any moment goes on to the same curve; checkpoints refuse what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from freeavatar.errors import DataError, FreeAvatarError, WeightsError
from freeavatar.training.loop import LoopConfig, Losses, Run
from freeavatar.training.shards import open_shards


def make_run(folder: Path, num_steps: int) -> Run:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    config = LoopConfig(num_steps=num_steps, log_every=1, device="cpu", warmup_steps=2)
    return Run(folder, "toy", model, {"width": 4}, config)


def fit(run: Run, stop_after: int | None = None) -> None:
    def draw(rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((8, 4)).astype(np.float32))

    def losses(batch: torch.Tensor) -> Losses:
        if stop_after is not None and run.step == stop_after:
            raise KeyboardInterrupt
        noise = torch.rand(8, 1)  # a loss that also draws from torch's generator
        return {"loss": (run.model(batch) - batch.sum(1, keepdim=True) - noise).square().mean()}

    run.fit(draw, losses)


def curve(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_an_interrupted_run_resumes_to_the_same_curve(tmp_path: Path) -> None:
    fit(make_run(tmp_path / "whole", 20))
    run = make_run(tmp_path / "cut", 20)
    with pytest.raises(KeyboardInterrupt):
        fit(run, stop_after=9)
    run.save()
    fit(make_run(tmp_path / "cut", 20))
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    whole = load_checkpoint(tmp_path / "whole" / "final.safetensors", "toy").tensors
    cut = load_checkpoint(tmp_path / "cut" / "final.safetensors", "toy").tensors
    for name, tensor in whole.items():
        torch.testing.assert_close(cut[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("saved_at", [None, 4])
def test_a_killed_run_comes_to_the_same_curve(tmp_path: Path, saved_at: int | None) -> None:
    """Nothing is saved on the way out; steps since the last save are done and logged again."""
    fit(make_run(tmp_path / "whole", 12))
    run = make_run(tmp_path / "cut", 12)
    for stop_after in filter(None, (saved_at, 9)):
        with pytest.raises(KeyboardInterrupt):
            fit(run, stop_after=stop_after)
        if stop_after == saved_at:
            run.save()
    with (tmp_path / "cut" / "log.jsonl").open("a") as log:
        log.write('{"step": 9.0, "lo')
    fit(make_run(tmp_path / "cut", 12))
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")


def test_a_checkpoint_reads_back_equal_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, Checkpoint("toy", {"width": 4}, {"step": 3}, {"w": torch.arange(9.0)}))
    loaded = load_checkpoint(path, "toy", {"width": 4})
    assert torch.equal(loaded.tensors["w"], torch.arange(9.0))
    assert loaded.progress == {"step": 3}
    with pytest.raises(WeightsError, match="another architecture: width is 4, not 8"):
        load_checkpoint(path, "toy", {"width": 8})
    with pytest.raises(WeightsError, match="kind 'toy'"):
        load_checkpoint(path, "other")
    with pytest.raises(WeightsError, match="no checkpoint"):
        load_checkpoint(tmp_path / "absent.safetensors", "toy")


@pytest.mark.parametrize("damage", ["flip", "cut", "text"])
def test_damaged_checkpoints_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, Checkpoint("toy", {}, {}, {"w": torch.arange(64.0)}))
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-5] ^= 0xFF
    path.write_bytes({"flip": data, "cut": data[: len(data) // 2], "text": b"hello"}[damage])
    with pytest.raises(WeightsError):
        load_checkpoint(path, "toy")


def test_a_missing_gpu_is_one_clear_sentence(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(FreeAvatarError, match="no CUDA device"):
        Run(tmp_path, "toy", torch.nn.Linear(1, 1), {}, LoopConfig(device="cuda"))


def write_shards(folder: Path, lengths: list[int]) -> None:
    folder.mkdir(parents=True)
    (folder / "index.json").write_text("{}")
    for i, num in enumerate(lengths):
        part = folder / f"part-{i:03d}"
        part.mkdir()
        np.save(part / "crops.npy", np.full((num, 8, 8, 3), i, np.uint8))
        np.savez(part / "truth.npz", number=np.arange(num) + 100 * i)


def test_shards_read_as_one_table(tmp_path: Path) -> None:
    write_shards(tmp_path / "set", [3, 2])
    shards = open_shards(tmp_path / "set")
    assert len(shards) == 5
    np.testing.assert_array_equal(shards.columns["number"], [0, 1, 2, 100, 101])
    np.testing.assert_array_equal(shards.gather(np.array([4, 0]))[:, 0, 0, 0], [1, 0])


def test_shards_of_an_older_numpy_read_without_its_stray_column(tmp_path: Path) -> None:
    write_shards(tmp_path / "set", [3])
    np.savez(
        tmp_path / "set" / "part-000" / "truth.npz",
        **{"number": np.arange(3), "allow_pickle_": np.array(False)},
    )
    assert list(open_shards(tmp_path / "set").columns) == ["number"]


def test_bad_shards_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no index\.json"):
        open_shards(tmp_path)
    write_shards(tmp_path / "set", [3])
    np.savez(tmp_path / "set" / "part-000" / "truth.npz", number=np.arange(2))
    with pytest.raises(DataError, match=r"lengths \[2, 3\]"):
        open_shards(tmp_path / "set")
    table = tmp_path / "set" / "part-000" / "truth.npz"
    table.write_bytes(table.read_bytes()[:40])
    with pytest.raises(DataError, match="damaged"):
        open_shards(tmp_path / "set")
    (tmp_path / "set" / "part-000" / "crops.npy").write_bytes(b"\x93NUMPY cut")
    with pytest.raises(DataError, match="damaged"):
        open_shards(tmp_path / "set")
