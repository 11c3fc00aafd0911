"""What can be asked of a board that is being visited: run a file, time it, how it feels."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.artifact import detect_format, model_sha256, read_model_bytes
from ..runtime.codec import from_json, to_json
from ..runtime.errors import (
    DeviceError,
    DeviceLost,
    EngineCrashedError,
    MissingToolError,
    UsageError,
)
from ..runtime.files import sha256_bytes
from ..runtime.layer_times import LayerTimes
from ..runtime.native import BUILT, COMPILER_NOTE
from ..runtime.time_file import ProcessTiming
from ..runtime.timing import TimingPlan
from .answers import last_document
from .board_options import BoardOptions
from .c_library import MACHINE, library_for
from .remote import Remote
from .remote_errors import told_error
from .toolchain_linux import find_linux_toolchain

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

NATIVE = "native"
_ENDED_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}


class BoardVisit:
    """One board during one connection. Models are sent once."""

    def __init__(self, remote: Remote, options: BoardOptions):
        self.remote, self.options = remote, options
        self._sent: dict[Path, str] = {}
        self._facts: dict[str, str] | None = None
        self._powers: dict[Path, list[float]] = {}
        self._told: dict[str, str] | None = None

    @property
    def address(self) -> str:
        """Where it is."""
        return self.remote.address

    def facts(self) -> dict[str, str]:
        """What the board is (`runtime/board_facts.py`), asked once."""
        if self._facts is None:
            answer, _ = self.remote.call("facts", cpu=self._cpu)
            self._facts = _texts(answer["facts"])
        return self._facts

    def health(self) -> dict[str, str]:
        """What state it is in now."""
        answer, _ = self.remote.call("health", cpu=self._cpu)
        return _texts(answer["health"])

    def engines(self) -> dict[str, str]:
        """Engine -> version, or "not usable: ..."; "numpy" is among them.

        Exported C needs no compiler there if one here compiles for it.
        """
        found = self._engines_there()
        if "numpy" not in found or not self._lacks_compiler():
            return found
        try:
            found[NATIVE] = f"gcc {find_linux_toolchain().number} (not on the board)"
        except MissingToolError as error:
            found[NATIVE] += f"; nor is one here for it ({error.what}: {error.hint})"
        return found

    def _engines_there(self) -> dict[str, str]:
        """What the board says, asked once."""
        if self._told is None:
            try:
                told = self._agent(["engines"])
            except MissingToolError as error:
                return {"numpy": f"not usable: {error.what}"}
            self._told = {"numpy": str(told["numpy"])}
            self._told |= {str(k): str(v) for k, v in told["engines"].items()}
        return dict(self._told)

    def _lacks_compiler(self) -> bool:
        """True for an aarch64 board without a compiler: this machine may compile for it."""
        said = self._engines_there().get(NATIVE, "")
        return said.startswith("not usable") and self.facts().get("machine") == MACHINE

    def time(
        self,
        path: Path,
        engine: str | None = None,
        threads: int = 1,
        plan: TimingPlan | None = None,
    ) -> ProcessTiming:
        """What one fresh process there measured."""
        words = ["time", self._send(path), "--threads", str(threads), *_engine(engine)]
        if self.options.cpus:
            words += ["--cpus", ",".join(str(cpu) for cpu in self.options.cpus)]
        if plan is not None:
            words += ["--plan", json.dumps(to_json(plan))]
        found = from_json(ProcessTiming, self._agent(words, path))
        if found.artifact_sha256 != model_sha256(path):
            raise DeviceError("it timed another file than was sent", where=self.address)
        return found

    def outputs(
        self, path: Path, engine: str | None, samples: Sequence[Sequence[Array]]
    ) -> tuple[list[list[Array]], str]:
        """(outputs of each sample, hash of the engine's library there); dtypes and axes as in the file."""
        shapes = {tuple(np.shape(value) for value in sample) for sample in samples}
        if len(shapes) != 1:
            raise UsageError(f"samples of one shape are run together, got {sorted(shapes)}")
        stacked = [np.stack(values) for values in zip(*samples, strict=True)]
        self.remote.put("inputs.npz", _npz(stacked))
        words = ["run", self._send(path), *_engine(engine), "--samples", "--build"]
        words += ["--inputs", "{folder}/inputs.npz", "--outputs", "{folder}/outputs.npz"]
        told = self._agent(words, path)
        with np.load(io.BytesIO(self.remote.get("outputs.npz")), allow_pickle=False) as archive:
            outputs = [archive[f"output_{index}"] for index in range(len(archive.files))]
        each = [[value[index] for value in outputs] for index in range(len(samples))]
        return each, str(told.get("build", ""))

    def layers(self, path: Path, engine: str | None = None, threads: int = 1) -> LayerTimes:
        """Times of layers; `UsageError` where the engine does not tell them."""
        words = ["layers", self._send(path), "--threads", str(threads), *_engine(engine)]
        return from_json(LayerTimes, self._agent(words, path))

    def set_governor(self) -> None:
        """Set the governor that the options name, if any; the board puts the old one back when the visit ends."""
        if self.options.set_governor:
            self.remote.call("governor", value=self.options.set_governor)

    def take_power_mw(self, path: Path) -> float | None:
        """Mean power while a file was timed since this was asked last, None without a meter."""
        found = self._powers.pop(path, [])
        return sum(found) / len(found) if found else None

    @property
    def _cpu(self) -> int:
        return self.options.cpus[0] if self.options.cpus else 0

    def _send(self, path: Path) -> str:
        """Stream the model once; its path there."""
        if path not in self._sent:
            data = read_model_bytes(path)
            name = f"model-{len(self._sent)}{Path(path).suffix}"
            self.remote.put(name, data)
            self._sent[path] = "{folder}/" + name
            if detect_format(data, str(path)) == "c":
                self._send_library(data, str(path))
        return self._sent[path]

    def _send_library(self, data: bytes, where: str) -> None:
        """A folder compiled here, where the board has no compiler."""
        if self._lacks_compiler():
            made = library_for(data, where, self.facts())
            self.remote.put(f"{sha256_bytes(data)}.so", made.path.read_bytes())
            self.remote.put(COMPILER_NOTE, made.compiler.encode())

    def _agent(self, words: Sequence[str], path: Path | None = None) -> dict[str, Any]:
        """Answer of a fresh process of the on-board program."""
        limit = self.options.timeout_s
        argv = [self.remote.python, "{folder}/agent.pyz", *words]
        # the board keeps the time itself; we wait a little longer for its answer
        answer, _ = self.remote.call(
            "run", timeout_s=limit + 30, argv=argv, limit_s=limit, environment=self._environment()
        )
        where = self.address if path is None else f"{path} on {self.address}"
        if answer["timed_out"]:
            raise EngineCrashedError(
                f"a process there did not end within {limit:g} s",
                where=where,
                hint="try another engine or a smaller model, or allow more with --timeout",
            )
        if words[0] == "time" and path is not None and answer.get("power_mw"):
            self._powers.setdefault(path, []).append(float(answer["power_mw"]))
        if answer["code"] < 0:
            raise _killed(-answer["code"], where)
        return self._document(answer, where)

    def _environment(self) -> dict[str, str]:
        """What is compiled there lies in the folder of the visit and goes with it."""
        variables = {"XDG_CACHE_HOME": "{folder}/cache"}
        if self._told is not None and self._lacks_compiler():
            variables[BUILT] = "{folder}"
        return variables

    def _document(self, answer: dict[str, Any], where: str) -> dict[str, Any]:
        told = last_document(answer["stdout"])
        if told is not None and "error" in told:
            raise told_error(told["error"], self.address)
        said = answer["stderr"].strip().splitlines()[-3:]
        if answer["code"] or told is None:
            raise self._failed(answer["code"], " / ".join(said)[-400:], where)
        return told

    def _failed(self, code: int, said: str, where: str) -> Exception:
        for package in ("numpy",):
            if f"No module named '{package}'" in said:
                return MissingToolError(
                    f"{package} is not installed for {self.remote.python} on the board",
                    where=self.address,
                    hint=f"there: {self.remote.python} -m pip install {package}, or name another with --python",
                )
        if "wrong ELF class" in said or "Exec format error" in said:
            machine = self.facts().get("machine", "unknown")
            return UsageError(
                f"built for another processor than its {machine}: {said}", where=where
            )
        return DeviceError(f"a process there failed with exit code {code}: {said}", where=where)


def _killed(number: int, where: str) -> Exception:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number in _ENDED_FROM_OUTSIDE:
        hint = "the board may be out of memory: close other programs there, or use a smaller model"
        return DeviceLost(f"the process that ran there was ended by {name}", where=where, hint=hint)
    hint = "the engine crashes on this file there: try another engine, or export the model again"
    return EngineCrashedError(f"a process there was ended by {name}", where=where, hint=hint)


def _engine(engine: str | None) -> list[str]:
    return ["--engine", engine] if engine else []


def _npz(arrays: Sequence[Array]) -> bytes:
    buffer = io.BytesIO()
    named: dict[str, Any] = {f"input_{index}": value for index, value in enumerate(arrays)}
    np.savez(buffer, **named)
    return buffer.getvalue()


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(item) for key, item in dict(value).items()}
