"""What the discovery system does: report the facts, wait for a role, pass the gate, install."""

from __future__ import annotations

from contextlib import suppress

from simulator.client import Answer, Unreachable
from simulator.disks import Installed
from simulator.facts import boot_journal, discovery_report
from simulator.faults import Fault
from simulator.firmware import parse_checked
from simulator.machine import Machine, Phase, as_body

ATTEMPT_HEADER = "X-Enjoliver-Attempt"
PLACE_HEADER = "X-Enjoliver-Queue-Position"
GRANT_HEADER = "X-Enjoliver-Grant-Seconds"
_RENEWALS = 3


async def report_facts(machine: Machine) -> Phase:
    """Post the facts of this boot."""
    await machine.pause(machine.timing.boot)
    journal = boot_journal(machine.who, machine.config_url, machine.boot_id)
    report = discovery_report(machine.who, boot_id=machine.boot_id, journal=journal)
    answer = await machine.post("/discovery", body=as_body(report), expected=(200, 406, 409))
    if answer.status != 200:
        machine.violation(f"its facts were refused: {answer.status} {answer.sentence()}")
        await machine.back_off()
        return Phase.DISCOVERY
    is_new = answer.document().get("new-discovery")
    machine.say("reported its facts" + (" for the first time" if is_new else ""))
    return Phase.WAITING


async def wait_for_role(machine: Machine) -> Phase:
    """Ask until there is a role, the sync is good and `/ignition` is the role's own config."""
    # Nobody knows when a role comes; once it is there, the rest follows soon.
    growth = 1.0 if machine.roles else 1.3 ** min(machine.polls, 12)
    await machine.pause(min(machine.timing.poll * growth, machine.timing.longest_pause))
    machine.polls += 1
    machine.roles = await _ask_roles(machine)
    if not machine.roles:
        machine.say("waits for a role")
        return Phase.WAITING
    if (await machine.get("/sync-notify", expected=(200, 503))).status != 200:
        machine.say("has a role and waits for the first sync")
        return Phase.WAITING
    return await _look_at_config(machine)


async def _ask_roles(machine: Machine) -> tuple[str, ...]:
    answer = await machine.get(f"/scheduler?mac={machine.who.mac}", route="/scheduler?mac=…")
    return tuple(answer.document().get(machine.who.mac, ()))


async def _look_at_config(machine: Machine) -> Phase:
    answer = await fetch_config(machine)
    if answer.status != 200:
        machine.say(f"waits for its config: {answer.status} {answer.sentence()}")
        return Phase.WAITING
    config = parse_checked(machine, answer.body)
    if config.is_discovery:
        machine.say("waits: its config is still the one of discovery")
        return Phase.WAITING
    if not machine.check_identity(config):
        return Phase.WAITING
    machine.world.disks.keep_download(machine.who.mac, answer.body)
    machine.say(f"has its role ({', '.join(machine.roles)}) and its config")
    return Phase.GATE


async def fetch_config(machine: Machine) -> Answer:
    """The config of the installed system; 200, or 502 and 503 when there is none for now."""
    return await machine.get(
        f"/ignition?{machine.who.raw_query}",
        route="/ignition?os=installed",
        expected=(200, 404, 502, 503),
    )


async def ask_gate(machine: Machine) -> Phase:
    """Ask to install; when told to wait, wait as long as told, within this run's bounds."""
    answer = await machine.get(
        f"/install-authorization/{machine.who.raw_query}",
        route="/install-authorization/…",
        expected=(200, 403),
    )
    if answer.status == 200:
        machine.attempt = answer.headers.get(ATTEMPT_HEADER, "")
        told = answer.headers.get(GRANT_HEADER, "")
        machine.grant_seconds = float(told) if told.isdigit() else 0.0
        return Phase.INSTALLING
    place = answer.headers.get(PLACE_HEADER)
    machine.say("waits at the install gate" + (f", place {place} in the queue" if place else ""))
    await machine.pause(_told_pause(machine, answer))
    return Phase.GATE


def _told_pause(machine: Machine, answer: Answer) -> float:
    told = answer.headers.get("Retry-After", "")
    seconds = float(told) if told.isdigit() else machine.timing.poll
    return max(machine.timing.poll, min(seconds, machine.timing.longest_pause))


async def install(machine: Machine) -> Phase:
    """Write the disk, report, reboot."""
    machine.installs += 1
    machine.say(f"installs itself (attempt {machine.installs})")
    if machine.has(Fault.SILENT_INSTALL):
        return Phase.SILENT
    await _write_disk(machine)
    if machine.has(Fault.REBOOT_MID_INSTALL) and machine.installs == 1:
        machine.say("loses power in the middle of its install")
        return Phase.OFF
    if machine.has(Fault.FAIL_INSTALL) and machine.installs == 1:
        return Phase.FAILED
    document = machine.world.disks.take_download(machine.who.mac)
    machine.world.disks.write(machine.who.mac, Installed(running=document))
    return Phase.INSTALLED


async def _write_disk(machine: Machine) -> None:
    """It takes its time; within the silence allowed the gate hears that it goes on."""
    left, share = machine.timing.install, machine.grant_seconds / _RENEWALS
    while machine.attempt and 0 < share < left:
        await machine.pause(share)
        left -= share
        with suppress(Unreachable):
            await _renew_grant(machine)
    await machine.pause(left)


async def _renew_grant(machine: Machine) -> None:
    await machine.get(
        f"/install-authorization/{machine.who.raw_query}",
        route="/install-authorization/… (goes on)",
        headers={ATTEMPT_HEADER: machine.attempt},
        expected=(200, 409, 503),
    )


async def report_failure(machine: Machine) -> Phase:
    """Report the failure until the engine took it, then start over."""
    await report_install(machine, "fail")
    machine.say("failed to install and will try again")
    return Phase.WAITING


async def report_success(machine: Machine) -> Phase:
    """Report the success until the engine took it; only then reboot."""
    await report_install(machine, "success")
    machine.is_install_confirmed, machine.may_reinstall = True, False
    machine.say("is installed and reboots")
    return Phase.FIRMWARE


async def report_install(machine: Machine, outcome: str) -> None:
    """POST the outcome with the id of the attempt."""
    await machine.post(
        f"/lifecycle/coreos-install/{outcome}/{machine.who.raw_query}",
        route=f"/lifecycle/coreos-install/{outcome}/…",
        headers={ATTEMPT_HEADER: machine.attempt} if machine.attempt else {},
    )
