"""A training that was killed, or whose checkpoint was damaged, ends in the weights of an undisturbed one."""

from __future__ import annotations

import dataclasses
import functools
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from edgepress.compress import training_checkpoint
from edgepress.compress.training import TrainResult, train
from edgepress.runtime.errors import UsageError
from support import training_case
from support.training_case import CONFIG, STEPS


@functools.lru_cache(maxsize=1)
def _undisturbed() -> tuple[dict[str, torch.Tensor], TrainResult]:
    net, result = training_case.run(None)
    return net.state_dict(), result


def _same_as_undisturbed(net: torch.nn.Module, result: TrainResult) -> None:
    state, expected = _undisturbed()
    found = net.state_dict()
    assert [k for k in state if not torch.equal(state[k], found[k])] == []
    assert (result.epochs, result.kept_epoch) == (expected.epochs, expected.kept_epoch)
    assert result.score == expected.score


def _killed(checkpoint: Path, kill_at: str) -> None:
    """Run in a process of its own until it kills itself."""
    command = [sys.executable, training_case.__file__, str(checkpoint), str(checkpoint) + ".npz"]
    done = subprocess.run([*command, kill_at], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_two_runs_are_the_same() -> None:
    _same_as_undisturbed(*training_case.run(None))


def test_killed_again_and_again_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    """Mid-epoch, half-way through a write, and between the two renames of a write."""
    checkpoint = tmp_path / "run" / "checkpoint"
    for kill_at in ("step:8", "write:4", "rename:5"):
        _killed(checkpoint, kill_at)
    net, result = training_case.run(checkpoint)
    assert 8 < result.resumed_step < STEPS
    assert result.notes == ()
    _same_as_undisturbed(net, result)


def test_killed_in_the_first_step_it_starts_again(tmp_path: Path) -> None:
    _killed(tmp_path / "checkpoint", "write:1")
    assert not (tmp_path / "checkpoint").exists()
    net, result = training_case.run(tmp_path / "checkpoint")
    assert result.resumed_step == 0
    _same_as_undisturbed(net, result)


def test_a_finished_training_gives_its_result_without_a_step(tmp_path: Path) -> None:
    training_case.run(tmp_path / "checkpoint")
    net, result = training_case.run(tmp_path / "checkpoint")
    assert result.resumed_step == STEPS
    _same_as_undisturbed(net, result)


class _Interrupted(Exception):
    pass


def _interrupted(checkpoint: Path, at: int) -> None:
    def on_step(moment: object) -> None:
        if moment.step == at:  # type: ignore[attr-defined]
            raise _Interrupted

    with pytest.raises(_Interrupted):
        train(training_case.model(), training_case.task(), CONFIG,
              checkpoint=checkpoint, on_step=on_step, checkpoint_seconds=0)  # fmt: skip


def _damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "bit":
        data[len(data) // 2] ^= 16
    path.write_bytes({"bit": data, "short": data[:-100], "empty": b"", "other": b"\x80junk"}[how])


@pytest.mark.parametrize("how", ["bit", "short", "empty", "other"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(how: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    _interrupted(checkpoint, at=9)
    _damage(checkpoint, how)
    net, result = training_case.run(checkpoint)
    assert result.resumed_step == 8
    assert "checkpoint is damaged" in result.notes[0]
    _same_as_undisturbed(net, result)


def test_with_both_damaged_it_starts_again(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    _interrupted(checkpoint, at=9)
    _damage(checkpoint, "bit")
    _damage(training_checkpoint.previous(checkpoint), "short")
    net, result = training_case.run(checkpoint)
    assert (result.resumed_step, len(result.notes)) == (0, 2)
    _same_as_undisturbed(net, result)


def test_pickled_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    """Even behind a matching hash."""
    import hashlib
    import io

    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    buffer = io.BytesIO()
    torch.save({"key": {}, "state": Bomb()}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).digest()
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(training_checkpoint.MAGIC + digest + buffer.getvalue())
    net, result = training_case.run(checkpoint)
    assert not (tmp_path / "ran").exists()
    assert "damaged" in result.notes[0]
    _same_as_undisturbed(net, result)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    _interrupted(checkpoint, at=3)
    before = checkpoint.read_bytes()
    with pytest.raises(UsageError, match="another training: it differs in options"):
        training_case.run(checkpoint, config=dataclasses.replace(CONFIG, epochs=5))
    with pytest.raises(UsageError, match="it differs in initial weights"):
        train(training_case.model(seed=1), training_case.task(), CONFIG, checkpoint=checkpoint)
    with pytest.raises(UsageError, match="it differs in teacher"):
        train(training_case.model(), training_case.task(), CONFIG,
              checkpoint=checkpoint, teacher=training_case.model(2))  # fmt: skip
    assert checkpoint.read_bytes() == before


def _quantized() -> torch.nn.Module:
    """The toy network prepared for quantization-aware training, scales learning for half of the steps."""
    from edgepress.compress import zoo
    from edgepress.compress.quantization import qat

    torch.manual_seed(0)
    task = training_case.task()
    inputs = torch.from_numpy(task.load("calibration").inputs[0])
    config = qat.QatConfig(learn_scales=True, freeze_fraction=0.5)
    model = qat.prepare(zoo.build_for("toy_cnn", task), inputs, config)
    qat.calibrate(model, [inputs])
    qat.schedule(model, STEPS)
    return model


def test_quantization_aware_training_resumes_too(tmp_path: Path) -> None:
    """Killed before and after its scales are frozen."""
    config = dataclasses.replace(CONFIG, ema_decay=0.0, learning_rate=0.01)
    undisturbed = _quantized()
    expected = train(undisturbed, training_case.task(), config)

    def stop(at: int, moment: object) -> None:
        if moment.step == at:  # type: ignore[attr-defined]
            raise _Interrupted

    checkpoint = tmp_path / "checkpoint"
    for at in (8, 17):
        with pytest.raises(_Interrupted):
            train(_quantized(), training_case.task(), config, checkpoint=checkpoint,
                  on_step=functools.partial(stop, at), checkpoint_seconds=0)  # fmt: skip
    resumed = _quantized()
    result = train(resumed, training_case.task(), config, checkpoint=checkpoint)
    assert result.resumed_step == 17
    assert result.epochs == expected.epochs
    state = undisturbed.state_dict()
    assert [k for k, v in resumed.state_dict().items() if not torch.equal(v, state[k])] == []
