"""pytest plugin: the fixture `edgepress_gate` holds files to limits inside a test suite.

    def test_size(edgepress_gate):
        edgepress_gate("kws.tflite", metrics={"file_bytes": {"max": "60KiB"}})

    def test_all(edgepress_gate):
        edgepress_gate.config("gates.yml")

A fail fails the test, an error ends it with the error, no verdict skips it (`--edgepress-inconclusive fail|pass|warn`
changes that). Loading this module costs nothing: everything else is imported when the fixture is used.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .gate.config import GateConfig
    from .gate.records import Results

POLICIES = ("skip", "fail", "pass", "warn")


def pytest_addoption(parser: pytest.Parser) -> None:
    """--edgepress-inconclusive and --edgepress-no-cache."""
    group = parser.getgroup("edgepress")
    group.addoption(
        "--edgepress-inconclusive",
        choices=POLICIES,
        default="skip",
        help="What a gate without a verdict does to its test.",
    )
    group.addoption(
        "--edgepress-no-cache", action="store_true", help="Measure again what is in the cache."
    )


class Gatekeeper:
    """What `edgepress_gate` is. Paths are relative to the folder of the test file."""

    def __init__(self, folder: Path, policy: str, use_cache: bool):
        self.folder, self.policy, self.use_cache = folder, policy, use_cache

    def __call__(
        self, model: str | Path, *, metrics: dict[str, Any] | None = None, **gate: Any
    ) -> Results:
        """Judge one file; keywords are those of a gate in the configuration (device, engine, baseline, ...).

        Args:
            metrics: as in the configuration: {"file_bytes": {"max": "60KiB"}}; exact ones by default.

        Raises:
            EdgepressError: a keyword or limit is wrong, or the number cannot be had.
        """
        from .gate.config import SCHEMA, config_of
        from .recipe_yaml import Document

        values = {"model": str(model), **gate}
        if metrics is not None:
            values["metrics"] = metrics
        name = self.folder / "edgepress_gate"
        document = Document("edgepress_gate(...)", {"schema": SCHEMA, "gates": [values]})
        return self._judge(config_of(document, name))

    def config(self, path: str | Path) -> Results:
        """Judge all gates of a configuration."""
        from .gate.config import load_config

        return self._judge(load_config(self.folder / path))

    def _judge(self, config: GateConfig) -> Results:
        from .cache import Cache, default_folder
        from .exit_codes import ExitCode
        from .gate.reports.text import to_text
        from .gate.run import Settings, exit_code, run_gates

        policy = "none" if self.policy == "skip" else self.policy
        cache = Cache(default_folder()) if self.use_cache else None
        results = run_gates(config, Settings(cache=cache, policy=policy))
        code, text = exit_code(results.judgements), to_text(results)
        if code == ExitCode.NO_VERDICT:
            pytest.skip(f"no verdict\n{text}")
        if code != ExitCode.OK:
            pytest.fail(text, pytrace=False)
        for judgement in results.judgements:
            if judgement.verdict.word == "warn":
                said = f"{judgement.name}: {judgement.verdict.reason}"
                warnings.warn(said, pytest.PytestWarning, stacklevel=3)
        return results


@pytest.fixture
def edgepress_gate(request: pytest.FixtureRequest) -> Gatekeeper:
    """Holds files to limits: `edgepress_gate("kws.tflite", metrics={"file_bytes": {"max": "60KiB"}})`."""
    options = request.config.option
    return Gatekeeper(
        request.path.parent, options.edgepress_inconclusive, not options.edgepress_no_cache
    )
