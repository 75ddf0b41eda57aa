"""A FleetLock client as the protocol describes one."""

import json

import pytest

PROTOCOL = {"fleet-lock-protocol": "true"}


class FleetLockClient:
    """Sends the two operations; `raw` sends anything."""

    def __init__(self, client):
        self.client = client

    def raw(self, path, body, headers=PROTOCOL):
        return self.client.post(path, data=body, content_type="text/plain", headers=headers)

    def send(self, path, holder, group):
        return self.raw(path, json.dumps({"client_params": {"id": holder, "group": group}}))

    def lock(self, holder, group="default"):
        return self.send("/v1/pre-reboot", holder, group)

    def unlock(self, holder, group="default"):
        return self.send("/v1/steady-state", holder, group)


@pytest.fixture
def fleetlock(client):
    return FleetLockClient(client)
