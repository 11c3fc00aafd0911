"""The cache: gives back what was put in or nothing, whatever happened to its files."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path

import pytest
from edgepress.runtime.files import sha256_file
from edgepress.tools import cache as caches
from edgepress.tools.cache import Cache, default_folder

KEY = "ab" + "0" * 62


def key(number: int) -> str:
    return f"{number:064x}"


def made(folder: Path, size: int = 100, seed: int = 0) -> dict[str, str]:
    """Outputs of a step: two files."""
    found = {}
    for name in ("steps/01-a/x.bin", "artifacts/y.bin"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes((seed + i) % 251 for i in range(size)))
        found[name] = sha256_file(path)
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_what_is_put_in_comes_out(cache: Cache, run: Path, tmp_path: Path) -> None:
    outputs = made(run)
    assert cache.put(KEY, run, outputs)
    assert cache.get(KEY, tmp_path / "other") == outputs
    for name, sha256 in outputs.items():
        assert sha256_file(tmp_path / "other" / name) == sha256


def test_an_unknown_key_gives_nothing(cache: Cache, run: Path) -> None:
    assert cache.get(KEY, run) is None
    assert not run.exists()


def test_putting_twice_changes_nothing(cache: Cache, run: Path) -> None:
    outputs = made(run)
    assert cache.put(KEY, run, outputs) and cache.put(KEY, run, outputs)
    assert cache.state().entries == 1
    assert not list((cache.folder / "temporary").iterdir())


def files_of_entry(cache: Cache) -> list[Path]:
    return sorted(p for p in (cache.folder / "entries").rglob("*") if p.is_file())


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_entry_is_none_and_goes(
    cache: Cache, run: Path, number: int, damage: str
) -> None:
    outputs = made(run)
    cache.put(KEY, run, outputs)
    path = files_of_entry(cache)[number]
    data = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "truncate" else bytes([data[0] ^ 1]) + data[1:])
    shutil.rmtree(run)
    assert cache.get(KEY, run) is None
    assert cache.state().entries == 0
    assert cache.put(KEY, run, made(run)) and cache.get(KEY, run) == outputs


def test_a_path_that_leaves_the_folder_is_never_written(cache: Cache, run: Path) -> None:
    cache.put(KEY, run, made(run))
    listing = next(p for p in files_of_entry(cache) if p.name == "entry.json")
    listing.write_text(listing.read_text().replace("artifacts/y.bin", "../../y.bin"))
    assert cache.get(KEY, run / "deep" / "er") is None
    assert not (run / "y.bin").exists()


def test_a_changed_output_is_not_taken_in(cache: Cache, run: Path) -> None:
    outputs = made(run)
    (run / "artifacts/y.bin").write_bytes(b"other")
    assert not cache.put(KEY, run, outputs)
    assert cache.get(KEY, run) is None


def test_the_least_recently_used_entry_goes_first(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1, 100))
    monkeypatch.setattr(caches.time, "time", lambda: float(next(clock)))
    cache = Cache(tmp_path / "cache", limit_bytes=30_000)
    outputs = made(run, 5000)
    for number in range(2):
        assert cache.put(key(number), run, outputs)
    assert cache.get(key(0), run) is not None  # used again: 1 is the oldest now
    assert cache.put(key(2), run, outputs)
    assert [cache.get(key(n), run) is not None for n in range(3)] == [True, False, True]
    assert cache.state().bytes <= 30_000


def test_what_is_larger_than_the_cache_is_not_kept(run: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit_bytes=1000)
    assert not cache.put(KEY, run, made(run, 5000))
    assert cache.state().entries == 0


def test_prune_empties_and_reports(cache: Cache, run: Path) -> None:
    for number in range(3):
        cache.put(key(number), run, made(run))
    (cache.folder / "temporary" / "dead").mkdir(parents=True)
    os.utime(cache.folder / "temporary" / "dead", (1, 1))
    state = cache.prune(0)
    assert (state.removed, state.entries, state.bytes) == (3, 0, 0) and state.freed_bytes > 0
    assert not list((cache.folder / "temporary").iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"no database at all, and longer than a header" * 9, None]
)
def test_a_lost_index_is_made_again(cache: Cache, run: Path, content: bytes | None) -> None:
    outputs = made(run)
    cache.put(KEY, run, outputs)
    index = cache.folder / "index.sqlite"
    index.unlink() if content is None else index.write_bytes(content)
    assert cache.get(KEY, run) == outputs
    assert cache.state().entries == 1
    assert cache.prune(0).removed == 1


def test_a_folder_that_cannot_be_written_is_no_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    assert not cache.put(KEY, run, made(run))
    assert cache.get(KEY, run) is None


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "edgepress"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == Path.home() / ".cache" / "edgepress"


def _worker(folder: Path, seed: int) -> None:
    """Puts and gets the same few keys as its rival, in a cache that is always too small."""
    cache = Cache(folder / "cache", limit_bytes=20_000)
    run = folder / f"run{seed}"
    for turn in range(40):
        number = turn % 5
        outputs = made(run, 3000, number)
        cache.put(key(number), run, outputs)
        found = cache.get(key(number), run)
        if found not in (None, outputs):
            raise SystemExit(1)


def test_two_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_worker, args=(tmp_path, seed)) for seed in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    cache = Cache(tmp_path / "cache", limit_bytes=20_000)
    assert 0 < cache.state().entries <= 5
    assert cache.prune().bytes <= 20_000
