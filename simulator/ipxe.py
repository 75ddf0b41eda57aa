"""An interpreter for the part of iPXE's script language that boot scripts use.

Command reference: https://ipxe.org/cmd, script rules: https://ipxe.org/scripting, settings:
https://ipxe.org/cfg. A command that fails ends the script unless `||` follows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urljoin

MAX_STEPS = 2000
MAX_DEPTH = 8
_VARIABLE = re.compile(r"\$\{([^${}]*)\}")
_OPERATORS = ("||", "&&", ";")


class CommandFailed(Exception):
    """A command of the script did not succeed; the text says why."""


class Firmware(Protocol):
    """What the interpreter needs from the machine that runs it."""

    async def load_script(self, url: str) -> str:
        """Fetch a script; raises CommandFailed."""

    async def load_image(self, url: str) -> None:
        """Fetch a kernel or initrd; raises CommandFailed."""

    async def pause(self, seconds: float) -> None:
        """Let time pass."""


@dataclass(frozen=True, slots=True)
class BootKernel:
    """The script started a kernel with these arguments."""

    kernel: str
    arguments: tuple[str, ...]
    initrds: tuple[str, ...]

    def argument(self, name: str) -> str:
        """The value of the kernel argument `name=value`, or ""."""
        for text in self.arguments:
            key, separator, value = text.partition("=")
            if separator and key == name:
                return value
        return ""


@dataclass(frozen=True, slots=True)
class BootDisk:
    """The script told the firmware to boot this local drive."""

    drive: str


@dataclass(frozen=True, slots=True)
class NextDevice:
    """The script ended or failed: the firmware goes on to its next boot device."""

    reason: str


Outcome = BootKernel | BootDisk | NextDevice


class _Left(Exception):
    """The script never comes back: something was booted."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class _Jumped(Exception):
    def __init__(self, label: str) -> None:
        self.label = label


class _Exited(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


def expand(text: str, settings: Mapping[str, str]) -> str:
    """Replace `${name}` and `${name:type}`; an unset name becomes nothing, as in iPXE."""
    for _ in range(MAX_DEPTH):  # a setting may hold a reference to another one
        text = _VARIABLE.sub(lambda match: _setting(match.group(1), settings), text)
    return text


def _setting(reference: str, settings: Mapping[str, str]) -> str:
    name, _, kind = reference.partition(":")
    value = settings.get(name) or settings.get(re.sub(r"^net[0-9xX]+/", "", name), "")
    return _FORMATS.get(kind, str)(value)


_FORMATS: dict[str, Callable[[str], str]] = {
    "hexhyp": lambda value: value.replace(":", "-"),
    "hexraw": lambda value: value.replace(":", ""),
    "uristring": lambda value: quote(value, safe=""),
}


@dataclass(slots=True)
class Interpreter:
    """Runs scripts for one machine; `settings` are its names as iPXE knows them."""

    firmware: Firmware
    settings: dict[str, str]
    _kernel: tuple[str, tuple[str, ...]] | None = None
    _initrds: list[str] = field(default_factory=list)
    _steps: int = 0

    async def run(self, text: str, url: str) -> Outcome:
        """Run the script `text` that came from `url` until something boots or it ends."""
        try:
            await self._script(text, url, depth=0)
        except _Left as left:
            return left.outcome
        except CommandFailed as failure:
            return NextDevice(str(failure))
        return NextDevice("the script ended")

    async def _script(self, text: str, url: str, depth: int) -> None:
        if not text.startswith("#!ipxe"):
            raise CommandFailed(f"{url}: not an iPXE script")
        if depth > MAX_DEPTH:
            raise CommandFailed(f"{url}: chained too deep")
        lines = _logical_lines(text)
        labels = {line[1:].strip(): at for at, line in enumerate(lines) if line.startswith(":")}
        at = 0
        while at < len(lines):
            try:
                await self._line(lines[at], url, depth)
                at += 1
            except _Jumped as jump:
                if jump.label not in labels:
                    raise CommandFailed(f"no label {jump.label}") from None
                at = labels[jump.label]
            except _Exited as left:
                if left.status:
                    raise CommandFailed(f"exit {left.status}") from None
                return

    async def _line(self, line: str, url: str, depth: int) -> None:
        """Run one line: commands joined by `||`, `&&` and `;`, from left to right."""
        failure: CommandFailed | None = None
        for operator, command in _commands(line):
            if (operator == "||" and failure is None) or (operator == "&&" and failure):
                continue
            self._count_step()
            failure = None
            try:
                await self._command(expand(command, self.settings).split(), url, depth)
            except CommandFailed as error:
                failure = error
        if failure:
            raise failure

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _Left(NextDevice(f"the script made more than {MAX_STEPS} steps"))

    async def _command(self, words: list[str], url: str, depth: int) -> None:
        if not words:
            return
        handler = _HANDLERS.get(words[0])
        if handler is None:
            raise CommandFailed(f"{words[0]}: command not found")
        await handler(self, words[1:], url, depth)

    async def _nothing(self, words: list[str], url: str, depth: int) -> None:
        """`echo`, `dhcp` and others whose effect this machine has already."""

    async def _sleep(self, words: list[str], url: str, depth: int) -> None:
        seconds = _argument(words, "sleep")
        if not seconds.isdecimal():
            raise CommandFailed(f"sleep: {seconds} is no number")
        await self.firmware.pause(float(seconds))

    async def _goto(self, words: list[str], url: str, depth: int) -> None:
        raise _Jumped(_argument(words, "goto"))

    async def _exit(self, words: list[str], url: str, depth: int) -> None:
        raise _Exited(int(words[0]) if words and words[0].isdigit() else 0)

    async def _set(self, words: list[str], url: str, depth: int) -> None:
        self.settings[_argument(words, "set")] = " ".join(words[1:])

    async def _isset(self, words: list[str], url: str, depth: int) -> None:
        if not words:
            raise CommandFailed("isset: empty")

    async def _iseq(self, words: list[str], url: str, depth: int) -> None:
        if len(words) != 2 or words[0] != words[1]:
            raise CommandFailed(f"iseq: {words} differ")

    async def _chain(self, words: list[str], url: str, depth: int) -> None:
        target = _absolute(url, _argument(_without_options(words), "chain"))
        await self._script(await self.firmware.load_script(target), target, depth + 1)

    async def _load_kernel(self, words: list[str], url: str, depth: int) -> None:
        words = _without_options(words)
        target = _absolute(url, _argument(words, "kernel"))
        await self.firmware.load_image(target)
        self._kernel = (target, tuple(words[1:]))

    async def _load_initrd(self, words: list[str], url: str, depth: int) -> None:
        target = _absolute(url, _argument(_without_options(words), "initrd"))
        await self.firmware.load_image(target)
        self._initrds.append(target)

    async def _free(self, words: list[str], url: str, depth: int) -> None:
        self._kernel = None
        self._initrds.clear()

    async def _boot(self, words: list[str], url: str, depth: int) -> None:
        if self._kernel is None:
            raise CommandFailed("boot: no kernel was loaded")
        raise _Left(BootKernel(*self._kernel, tuple(self._initrds)))

    async def _sanboot(self, words: list[str], url: str, depth: int) -> None:
        drive = words[words.index("--drive") + 1] if "--drive" in words[:-1] else "0x80"
        raise _Left(BootDisk(drive))


_Handler = Callable[[Interpreter, list[str], str, int], Coroutine[Any, Any, None]]
_HANDLERS: dict[str, _Handler] = {
    **dict.fromkeys(("echo", "dhcp", "ifopen", "ifconf", "cpuid", "prompt"), Interpreter._nothing),
    "sleep": Interpreter._sleep,
    "goto": Interpreter._goto,
    "exit": Interpreter._exit,
    "set": Interpreter._set,
    "isset": Interpreter._isset,
    "iseq": Interpreter._iseq,
    "chain": Interpreter._chain,
    "kernel": Interpreter._load_kernel,
    "imgfetch": Interpreter._load_kernel,
    "initrd": Interpreter._load_initrd,
    "imgfree": Interpreter._free,
    "boot": Interpreter._boot,
    "sanboot": Interpreter._sanboot,
}


def _logical_lines(text: str) -> list[str]:
    """Lines without comments and blanks; a backslash at the end joins the next line."""
    joined = text.replace("\\\n", " ")
    lines = (line.strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _commands(line: str) -> Iterator[tuple[str, str]]:
    """Each command of a line with the operator before it; a label has none."""
    if line.startswith(":"):
        return
    operator, words = ";", list[str]()
    for word in line.split():
        if word in _OPERATORS:
            yield operator, " ".join(words)
            operator, words = word, []
        else:
            words.append(word)
    yield operator, " ".join(words)


def _without_options(words: list[str]) -> list[str]:
    """Drop leading options; `--name X` and `--timeout N` take a value."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in ("--name", "-n", "--timeout", "-t") and rest:
            rest.pop(0)
    return rest


def _absolute(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError as error:
        raise CommandFailed(f"{reference}: {error}") from error


def _argument(words: list[str], command: str) -> str:
    if not words:
        raise CommandFailed(f"{command}: no argument")
    return words[0]
