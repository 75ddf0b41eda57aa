"""Which accelerator really works: a tiny system is booted, and must say its word.

`/dev/kvm` that opens proves nothing, nor does what libvirt says of it: there are hosts where both
are fine and no usual kernel runs.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from lab.drivers.base import DriverFailed, Say
from lab.image.cpio import Entry, write

Accelerator = Literal["kvm", "tcg"]
SETTING = "LAB_ACCEL"
SECONDS = 20.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DEVICE = Path("/dev/kvm")


def choose(cache: Path, kernel: Path | None, emulator: str, say: Say) -> Accelerator:
    """The accelerator by `LAB_ACCEL` (auto, kvm or tcg), else by a trial, once per host boot.

    Without a kernel to try, the processor is emulated.
    """
    wish = os.environ.get(SETTING, "auto").lower()
    if wish not in ("auto", "kvm", "tcg"):
        raise DriverFailed(f"{SETTING} is {wish[:20]!r}; auto, kvm or tcg")
    if wish == "kvm":
        return "kvm"
    if wish == "tcg" or kernel is None or not os.access(_DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    return "kvm" if _tried(cache, kernel, emulator, say) else "tcg"


def _tried(cache: Path, kernel: Path, emulator: str, say: Say) -> bool:
    """Whether KVM works, as found out in this boot of the host with this kernel and emulator."""
    key = [os.uname().release, _BOOT_ID.read_text().strip(), kernel.parent.name, emulator]
    known = cache / "kvm-probe.json"
    try:
        found = json.loads(known.read_text())
    except (OSError, ValueError):
        found = {}
    if found.get("key") != key:
        say(f"Virtual machines: trying KVM, at most {SECONDS:.0f} s")
        found = {"key": key, "works": boots(kernel, emulator, "kvm")}
        cache.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps(found))
    if not found["works"]:
        say("Virtual machines: KVM does not run a system here, so the processor is emulated (slow)")
    return bool(found["works"])


def boots(kernel: Path, emulator: str, accelerator: Accelerator, seconds: float = SECONDS) -> bool:
    """Boot `kernel` with a first process that says one word on the serial console."""
    word = f"LAB-PROBE-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="enj-probe-") as name:
        initrd = Path(name) / "initrd"
        initrd.write_bytes(initrd_saying(word))
        command = [emulator, "-nodefaults", "-display", "none", "-no-reboot", "-m", "256"]
        command += ["-accel", accelerator, "-cpu", "host" if accelerator == "kvm" else "max"]
        command += ["-kernel", str(kernel), "-initrd", str(initrd), "-serial", "stdio"]
        command += ["-append", "console=ttyS0 quiet panic=-1"]
        try:
            said = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
            ).stdout
        except subprocess.TimeoutExpired as late:
            said = late.stdout or b""
        except OSError as error:
            raise DriverFailed(f"{emulator} cannot be run: {error.strerror}") from error
    return word.encode() in said


def initrd_saying(word: str) -> bytes:
    """An archive whose first process writes `word` to the console and switches the machine off."""
    output = io.BytesIO()
    write(output, [Entry("init", tiny_program(f"\n{word}\n".encode()), is_executable=True)])
    return output.getvalue()


_ORIGIN = 0x400000
_HEADERS = 64 + 56


def tiny_program(text: bytes) -> bytes:
    """A static program for Linux on x86-64: write(1, text), then reboot(POWER_OFF)."""
    at = struct.pack("<I", _ORIGIN + _HEADERS + _CODE_SIZE)
    code = b"\xb8\x01\x00\x00\x00"  # mov eax, 1: write
    code += b"\xbf\x01\x00\x00\x00"  # mov edi, 1: to the console
    code += b"\xbe" + at  # mov esi, the text's address
    code += b"\xba" + struct.pack("<I", len(text))  # mov edx, its length
    code += b"\x0f\x05"  # syscall
    code += b"\xb8\xa9\x00\x00\x00"  # mov eax, 169: reboot
    code += b"\xbf\xad\xde\xe1\xfe"  # mov edi, 0xfee1dead
    code += b"\xbe\x69\x19\x12\x28"  # mov esi, 672274793
    code += b"\xba\xdc\xfe\x21\x43"  # mov edx, 0x4321fedc: power off
    code += b"\x0f\x05"  # syscall
    code += b"\xeb\xfe"  # jump here: without power management the machine stands still
    return _headers(len(code) + len(text)) + code + text


_CODE_SIZE = 46


def _headers(size: int) -> bytes:
    """ELF and program header of one segment that is the whole file (elf(5))."""
    whole = _HEADERS + size
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    file = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, _ORIGIN + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    return file + struct.pack("<IIQQQQQQ", 1, 5, 0, _ORIGIN, _ORIGIN, whole, whole, 0x1000)
