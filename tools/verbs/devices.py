"""`edgepress devices`: what is known of devices, emulated boards, what a real board is, records of firmware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from .options import PATH

if TYPE_CHECKING:
    from ...devices.profile import Profile


@click.group("devices", invoke_without_command=True)
@common_options
@click.pass_context
def command(context: click.Context) -> int:
    """List devices (`show`, `probe`, `setup`, `import` for more)."""
    if context.invoked_subcommand is None:
        return _list(context.obj)
    return ExitCode.OK


@command.command("list")
@common_options
@click.pass_obj
def list_command(call: Invocation) -> int:
    """List the devices that have a profile, yours included."""
    return _list(call)


@command.command("show")
@click.argument("name")
@common_options
@click.pass_obj
def show_command(call: Invocation, name: str) -> int:
    """Print all that is known of the device NAME (or a YAML file), each value with its source."""
    from ...devices.profile import load_profile
    from ...runtime.codec import to_json
    from ..render import table

    profile = load_profile(name)
    rows = [
        (place, fact.text, "yes" if fact.confirmed else "no", fact.source)
        for place, fact in profile.facts()
    ]
    lines = [f"{profile.title} ({profile.name}, {profile.device_class})", ""]
    lines.append(table(("what", "value", "confirmed", "source"), rows))
    lines += [f"note: {note}" for note in profile.notes]
    call.give({"schema": "edgepress-device/1", **to_json(profile)}, "\n".join(lines))
    return ExitCode.OK


@command.command("probe")
@click.argument("address")
@click.option("--python", default="python3", show_default=True, help="Python on the board (ssh).")
@click.option("--adb", default="adb", show_default=True, help="adb program to use.")
@common_options
@click.pass_obj
def probe_command(call: Invocation, address: str, python: str, adb: str) -> int:
    """Say what the board at ADDRESS (ssh://user@host[:port], adb://serial) is, its state and its engines."""
    if call.dry_run:
        return call.plan("devices probe", reads=[address], python=python)
    from ...devices.board_options import BoardOptions
    from ...devices.probe import probe

    found = probe(address, BoardOptions(python=python, adb=adb))
    document = {"schema": "edgepress-probe/1", "address": address, "evidence": "measured", **found}
    call.give(document, _facts(found))
    return ExitCode.OK


@command.command("setup")
@click.argument("name")
@click.option("--install", is_flag=True, help="Let apt-get install QEMU and a compiler (as root).")
@common_options
@click.pass_obj
def setup_command(call: Invocation, name: str, install: bool) -> int:
    """Make the emulated device NAME ready.

    A Linux board: downloads about 200 MB once, into the user's cache. A microcontroller: looks for compiler and QEMU,
    and lets its core run a self-test.
    """
    from ...devices.emulate_pi import setup
    from ...devices.emulated_board import emulated_core
    from ...devices.places import emulation_folder
    from ...devices.profile import load_profile
    from ...runtime.codec import to_json

    profile = load_profile(name)
    if profile.device_class == "mcu":
        return _setup_mcu(call, profile, install)
    emulated_core(profile)
    if call.dry_run:
        return call.plan("devices setup", writes=[emulation_folder()], install=install)
    report = setup(profile, install=install, progress=call.say)
    lines = [
        f"{report.board}: {report.cpu} in {report.emulator}, {report.bytes >> 20} MiB in {report.folder}"
    ]
    lines += [f"  {engine} {version}" for engine, version in report.engines.items()]
    lines.append(
        f"no counts: {report.no_counts}" if report.no_counts else "instructions are counted"
    )
    call.give({"schema": "edgepress-setup/1", **to_json(report)}, "\n".join(lines))
    return ExitCode.OK


def _setup_mcu(call: Invocation, profile: Profile, install: bool) -> int:
    """Compiler and QEMU for a microcontroller, and whether they count."""
    from ...devices.mcu_machines import machine_of
    from ...devices.mcu_setup import setup_mcu
    from ...devices.places import emulation_folder
    from ...runtime.codec import to_json

    machine_of(profile)
    if call.dry_run:
        return call.plan("devices setup", writes=[emulation_folder()], install=install)
    report = setup_mcu(profile, install=install, progress=call.say)
    lines = [
        f"{report.board}: {report.cpu} in {report.emulator} ({report.machine}), {report.compiler}"
    ]
    for kernel, count in report.kernels.items():
        counted = "not counted" if count is None else f"{count:,} instructions (emulated)"
        lines.append(f"  self-test {kernel}: outputs exact, {counted}")
    lines.append(
        f"no counts: {report.no_counts}" if report.no_counts else "instructions are counted"
    )
    call.give({"schema": "edgepress-setup/1", **to_json(report)}, "\n".join(lines))
    return ExitCode.OK


@command.command("import")
@click.argument("record", type=PATH)
@click.option("--model", type=PATH, required=True, help="The file the firmware ran.")
@click.option("--out", type=PATH, help="Write the measurement (JSON) here.")
@click.option("--force", is_flag=True, help="Overwrite the file that is there.")
@common_options
@click.pass_obj
def import_command(
    call: Invocation, record: Path, model: Path, out: Path | None, force: bool
) -> int:
    """Check the RECORD a microcontroller's firmware printed (JSON) and make it a measurement, evidence "measured"."""
    import json

    from ...devices.firmware_record import import_record
    from ...runtime.codec import to_json
    from ...runtime.files import refuse_overwrite, write_text
    from ..profile_text import latency_table

    if call.dry_run:
        return call.plan("devices import", reads=[record, model], writes=[out] if out else [])
    found = import_record(record, model)
    document = to_json(found)
    if out is not None:
        refuse_overwrite(out, force)
        write_text(out, json.dumps(document, indent=2, allow_nan=False) + "\n")
    lines = [latency_table([(model, found)]), *(f"note: {note}" for note in found.notes)]
    call.give({"schema": "edgepress-measurement/1", **document}, "\n".join(lines))
    return ExitCode.OK


@command.command("calibrate")
@click.argument("name")
@click.argument("measurements", type=PATH)
@click.option("--model", type=PATH, required=True, help="The file that was measured.")
@common_options
@click.pass_obj
def calibrate_command(call: Invocation, name: str, measurements: Path, model: Path) -> int:
    """Keep MEASUREMENTS of the board NAME (JSON of profile, or of devices import) for estimates of other files."""
    from ...runtime.codec import to_json
    from ..calibrate_board import calibrate

    if call.dry_run:
        return call.plan("devices calibrate", reads=[measurements, model], device=name)
    kept = calibrate(name, measurements, model)
    rows = [{**to_json(record), "path": str(path)} for record, path in kept]
    lines = [
        f"{record.latency_ms:.4g} ms in {record.engine} on {record.device}: kept in {path}"
        for record, path in kept
    ]
    call.give({"schema": "edgepress-calibrate/1", "records": rows}, "\n".join(lines))
    return ExitCode.OK


def _list(call: Invocation) -> int:
    from ...devices.profile import load_profile, profile_names
    from ..render import table

    rows: list[dict[str, Any]] = []
    for name in profile_names():
        profile = load_profile(name)
        core = profile.main_core
        rows.append(
            {
                "name": name,
                "title": profile.title,
                "class": profile.device_class,
                "core": f"{core.count.text} x {core.name}",
                "mhz": core.clock_mhz.text if core.clock_mhz else "",
                "emulation": _emulation(profile),
                "aliases": list(profile.aliases),
            }
        )
    keys = ("name", "title", "class", "core", "mhz", "emulation")
    text = table(keys, [tuple(row[key] for key in keys) for row in rows])
    hint = "boards are reached by address: --device ssh://user@host or adb://serial"
    call.give({"schema": "edgepress-devices/1", "devices": rows}, f"{text}\n\n{hint}")
    return ExitCode.OK


def _emulation(profile: Any) -> str:
    emulation = profile.emulation
    if emulation is None:
        return ""
    return str(
        (emulation.user_cpu or emulation.machine).text
        if emulation.user_cpu or emulation.machine
        else ""
    )


def _facts(found: dict[str, Any]) -> str:
    from ..render import table

    rows = [(part, str(key), str(value)) for part in found for key, value in found[part].items()]
    return table(("", "what", "value"), rows)
