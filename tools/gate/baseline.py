"""Baselines: results kept in the user's git, replaced only by results that may be trusted."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

from ...devices.verdict import Outcome
from ...runtime.errors import UsageError
from .records import Results, read_results, write_results

_NOT_TRUSTED = (Outcome.FAIL, Outcome.INVALID, Outcome.ERROR)


def read_baseline(path: Path | None) -> Results | None:
    """The stored baseline; None where there is none yet.

    Raises:
        InputError: it is damaged.
    """
    return read_results(path) if path is not None and path.exists() else None


def update_baseline(results: Results, path: Path, *, force: bool = False) -> Results:
    """Make `results` the baseline at `path`: entries, commit, fingerprint, and who did it. Gives what was written.

    Raises:
        UsageError: the results hold a fail, an invalid number or an error, or nothing at all; `force` overrides
            the former.
    """
    if not results.entries:
        raise UsageError("the results hold no numbers", hint="run `edgepress gate run` first")
    bad = [j for j in results.judgements if j.verdict.outcome in _NOT_TRUSTED]
    if bad and not force:
        raise UsageError(
            f"the last run ended with {bad[0].verdict.word} of {bad[0].name}: {bad[0].verdict.reason}",
            where=str(path),
            hint="mend it, or pass --force to make these numbers the baseline all the same",
        )
    kept = replace(results, judgements=(), updated_by=who(path.parent))
    write_results(kept, path)
    return kept


def who(folder: Path) -> str:
    """Who updates: the actor of the CI job, else the name in the git configuration, else the user's login."""
    for name in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        if os.environ.get(name):
            return os.environ[name]
    return _git(folder, "config", "user.name") or os.environ.get("USER", "") or "unknown"


def commit_of(folder: Path) -> str:
    """The commit a folder is at ("...-dirty" with changes); GITHUB_SHA in CI, "" outside git."""
    if os.environ.get("GITHUB_SHA"):
        return os.environ["GITHUB_SHA"]
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*")


def _git(folder: Path, *words: str) -> str:
    """What git says, "" where it cannot."""
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=folder if folder.is_dir() else Path.cwd(),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
