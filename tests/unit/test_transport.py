"""Addresses, the system's ssh (a script in its place) and its reasons."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgepress.devices.transport import open_transport, parse_address
from edgepress.devices.transport_ssh import SshTransport
from edgepress.runtime.errors import DeviceDiskFull, DeviceLost, DeviceUnreachable, UsageError


@pytest.mark.parametrize(
    "text", ["ssh://pi@pi4", "ssh://Pi4", "ssh://a@10.0.0.1:2222", "ssh://[::1]:22", "adb://0A:1"]
)
def test_addresses(text: str) -> None:
    assert parse_address(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "http://x",
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://-l@host",
        "ssh://a b",
        "ssh://host:port",
        "ssh://host:99999",
        "ssh://host/path",
        "ssh://u:secret@host",
        "adb://",
        "adb://-s",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


def client(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> SshTransport:
    """ssh as a shell script; `$line` is the quoted command."""
    path = folder / "ssh"
    path.write_text(
        f'#!/bin/sh\nfor line; do :; done\nprintf "%s\\n" "$@" > {folder}/words\n{script}\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("EDGEPRESS_SSH", f"{path} -F 'my config'")
    found = open_transport("ssh://pi@pi4:2222")
    assert isinstance(found, SshTransport)
    return found


def test_words_for_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = client(tmp_path, 'sh -c "$line"', monkeypatch)
    awkward = 'a\'b "c" $HOME; exit 9\n*'
    done = ssh.run(["printf", "%s", awkward])
    assert done.stdout.decode() == awkward and done.code == 0
    words = (tmp_path / "words").read_text().splitlines()
    assert words[:2] == ["-F", "my config"]
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10"):
        assert option in words
    assert words[words.index("-p") + 1] == "2222" and words[words.index("-l") + 1] == "pi"
    assert words[words.index("--") + 1] == "pi4"


def test_codes_of_the_program_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = client(tmp_path, 'sh -c "$line"', monkeypatch)
    assert ssh.run(["sh", "-c", "exit 7"]).code == 7
    assert ssh.run(["cat"], stdin=b"\0\xff").stdout == b"\0\xff"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "not the one that is known"),
        ("No ED25519 host key is known\nHost key verification failed.", "host key is not known"),
        ("pi@pi4: Permission denied (publickey).", "refuses the login"),
        ("ssh: Could not resolve hostname pi4", "name is not known"),
        ("connect to host pi4 port 22: Connection refused", "refuses the connection"),
        ("connect to host pi4 port 22: Connection timed out", "does not answer"),
        ("something else", "something else"),
        ("", "gives no reason"),
    ],
)
def test_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, words: str) -> None:
    ssh = client(tmp_path, f"echo '{said}' >&2; exit 255", monkeypatch)
    with pytest.raises(DeviceUnreachable, match=words) as caught:
        ssh.run(["true"])
    assert caught.value.exit_code == 4 and caught.value.where == "ssh://pi@pi4:2222"


def test_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceLost, match=r"within 0\.2 s"):
        client(tmp_path, "exec sleep 5", monkeypatch).run(["true"], timeout_s=0.2)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = client(tmp_path, 'sh -c "$line"', monkeypatch)
    path = str(tmp_path / "a b'c")
    ssh.put(b"\0data", path)
    assert ssh.get(path) == b"\0data"
    ssh.remove(path)
    assert not Path(path).exists()
    full = client(tmp_path, "echo 'cat: No space left on device' >&2; exit 1", monkeypatch)
    with pytest.raises(DeviceDiskFull):
        full.put(b"x", path)
