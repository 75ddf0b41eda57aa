"""kubeconfig files, as far as a check needs them: a server, whom it trusts, who asks.

What would run a program or leave certificates unchecked is refused:
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from lifecycle.health.asking import Ask, CheckFailed
from lifecycle.health.fields import url
from lifecycle.health.files import make_context, read_file

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """How an API server is reached."""

    server: str
    context: ssl.SSLContext | None
    headers: dict[str, str]
    server_name: str = ""


def read_kubeconfig(ask: Ask, name: str, context: str = "") -> Access:
    """The access that `context` (default: the file's current one) describes; raises
    CheckFailed."""
    try:
        document = yaml.safe_load(read_file(ask, name))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CheckFailed(f"{name} is no YAML") from error
    reader = _Reader(ask, name, document)
    wanted = context or reader.text(reader.document, "current-context")
    chosen = reader.entry("contexts", "context", wanted)
    cluster = reader.entry("clusters", "cluster", reader.text(chosen, "cluster"))
    user = reader.entry("users", "user", reader.text(chosen, "user"))
    return reader.access(cluster, user)


class _Reader:
    """One file."""

    def __init__(self, ask: Ask, name: str, document: object) -> None:
        self.ask, self.name = ask, name
        self.document = document if isinstance(document, dict) else self.refuse("is no kubeconfig")

    def refuse(self, why: str) -> Any:
        raise CheckFailed(f"{self.name} {why}")

    def text(self, part: Part, key: str) -> str:
        value = part.get(key)
        return value if isinstance(value, str) and value else self.refuse(f"names no {key}")

    def entry(self, group: str, key: str, name: str) -> Part:
        rows = self.document.get(group)
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and row.get("name") == name:
                found = row.get(key)
                return found if isinstance(found, dict) else self.refuse(f"has an empty {key}")
        found = self.refuse(f"has no {key} {name[:60]}")
        return {} if found is None else found

    def access(self, cluster: Part, user: Part) -> Access:
        server = self.text(cluster, "server").rstrip("/")
        problem = url(server)
        if problem:
            self.refuse(f"has a server that cannot be asked: {problem}")
        for part, keys in (
            (cluster, ("insecure-skip-tls-verify", "proxy-url")),
            (user, ("exec", "auth-provider", "username", "password", "as")),
        ):
            for key in keys:
                if part.get(key):
                    self.refuse(f"uses {key}, which health gates do not")
        is_tls = server.startswith("https:")
        return Access(
            server,
            self._context(cluster, user) if is_tls else None,
            self._headers(user),
            str(cluster.get("tls-server-name") or ""),
        )

    def _context(self, cluster: Part, user: Part) -> ssl.SSLContext:
        certificate = self._pem(user, "client-certificate")
        key = self._pem(user, "client-key")
        if bool(certificate) is not bool(key):
            self.refuse("has a client certificate without its key, or the other way round")
        pair = (certificate, key) if certificate else None
        return make_context(self._pem(cluster, "certificate-authority"), pair)

    def _headers(self, user: Part) -> dict[str, str]:
        token = user.get("token") or ""
        if user.get("tokenFile"):
            token = self._read(self.text(user, "tokenFile"))
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            self.refuse("has a token that is no text")
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _pem(self, part: Part, key: str) -> str:
        """Inline data goes before the file, as in Kubernetes' own clients."""
        inline = part.get(f"{key}-data")
        if inline:
            try:
                return base64.b64decode(str(inline), validate=True).decode("ascii")
            except ValueError as error:
                raise CheckFailed(f"{self.name} has a {key}-data that is no base64") from error
        return self._read(self.text(part, key)) if part.get(key) else ""

    def _read(self, name: str) -> str:
        """Relative to the kubeconfig, as everywhere; absolute ones must lie below the directory."""
        path = PurePosixPath(self.name).parent / name
        return read_file(self.ask, str(path))
