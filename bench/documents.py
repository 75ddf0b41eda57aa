"""Ignition documents of about 60 kB, as a machine with a full role has them."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

SIZE = 60_000
BODIES = 16
"""How many different documents a fleet shares: their bytes are not what is measured."""

_FILE_BYTES = 1500


def make_document(number: int) -> bytes:
    """The `number`-th document: files as data URLs and units, always the same bytes."""
    dice = random.Random(number)
    document: dict[str, Any] = {
        "ignition": {"version": "3.4.0"},
        "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": [_key(dice)]}]},
        "storage": {"files": [_file("/etc/hostname", f"machine-{number}\n".encode())]},
        "systemd": {"units": []},
    }
    while (missing := SIZE - len(_dump(document))) > 0:
        at = len(document["storage"]["files"])
        if at % 3 == 0:
            document["systemd"]["units"].append(_unit(at))
        content = dice.randbytes(min(_FILE_BYTES, max(1, (missing - 150) * 3 // 4)))
        document["storage"]["files"].append(_file(f"/etc/enjoliver/part-{at}", content))
    return _dump(document)


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _file(path: str, content: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(content).decode()
    source = f"data:;base64,{encoded}"
    return {"path": path, "mode": 420, "contents": {"source": source, "compression": ""}}


def _unit(number: int) -> dict[str, Any]:
    text = (
        f"[Unit]\nDescription=Part {number}\n[Service]\nType=oneshot\n"
        "ExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n"
    )
    return {"name": f"part-{number}.service", "enabled": True, "contents": text}


def _key(dice: random.Random) -> str:
    return f"ssh-ed25519 {base64.b64encode(dice.randbytes(51)).decode()} operator"
