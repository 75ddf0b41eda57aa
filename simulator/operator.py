"""What an operator does over HTTP: allow machines to update, and take the permission back."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass

from simulator.client import Answer, Client, Refused, Wire
from simulator.machine import Machine, as_body


@dataclass(frozen=True, slots=True)
class Operator:
    """A Django user with the permission, by HTTP Basic (RFC 7617)."""

    client: Client
    url: str
    name: str
    password: str

    async def grant(self, machine: Machine, strategy: str) -> None:
        """Let one machine update; raises Refused or Unreachable."""
        await self._rolling("POST", machine, as_body({"strategy": strategy}))

    async def withdraw(self, machine: Machine) -> None:
        """Take the permission back; raises Refused or Unreachable."""
        await self._rolling("DELETE", machine, None)

    async def _rolling(self, method: str, machine: Machine, body: bytes | None) -> Answer:
        token = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
        answer = await self.client.send(
            method,
            f"{self.url}/lifecycle/rolling/{machine.who.raw_query}",
            route="/lifecycle/rolling/… (operator)",
            wire=Wire(dice=random.Random(0)),
            body=body,
            headers={"Authorization": f"Basic {token}"},
        )
        if answer.status != 200:
            raise Refused(f"{method} /lifecycle/rolling", answer)
        return answer
