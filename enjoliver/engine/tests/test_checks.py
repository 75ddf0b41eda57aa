"""Settings that would start and then not serve a fleet are told at the start."""

import pytest
from django.db import connection

from enjoliver.conf import load
from enjoliver.engine import checks


def ids(found):
    return [message.id for message in found]


@pytest.fixture
def configured(settings):
    def configure(**environment):
        settings.CONFIGURED = load(environment)

    configure()
    return configure


def test_the_defaults_are_fine(configured):
    for check in (
        checks.check_addresses,
        checks.check_password,
        checks.check_networks,
        checks.check_matchbox,
        checks.check_database,
        checks.check_debug,
    ):
        assert check(None) == []


def test_listening_to_others_needs_the_address_that_machines_use(settings, configured):
    settings.BIND = "0.0.0.0:5000"
    assert ids(checks.check_addresses(None)) == ["enjoliver.E002"]
    configured(ENJOLIVER_API_URI="http://10.0.0.1:5000")
    settings.API_URI = "http://10.0.0.1:5000"
    assert checks.check_addresses(None) == []


def test_a_loopback_address_for_others_is_a_warning(settings, configured):
    settings.BIND = "[::]:5000"
    configured(ENJOLIVER_API_URI="http://localhost:5000")
    settings.API_URI = "http://localhost:5000"
    assert ids(checks.check_addresses(None)) == ["enjoliver.W001"]


@pytest.mark.parametrize(
    "uri", ["10.0.0.1:5000", "ftp://x", "http://", "http://x:port", "http://["]
)
def test_the_address_must_be_a_url(settings, configured, uri):
    settings.API_URI = uri
    assert ids(checks.check_addresses(None)) == ["enjoliver.E001"]


def test_a_short_password_is_a_warning(settings):
    settings.ADMIN_PASSWORD = "short"
    assert ids(checks.check_password(None)) == ["enjoliver.W004"]
    settings.ADMIN_PASSWORD = "long enough"
    assert checks.check_password(None) == []


def test_networks_must_parse(settings):
    settings.NODE_NETWORKS = ["10.0.0.0/8", "10.0.0.0/33"]
    settings.TRUSTED_PROXIES = ["proxy.example"]
    found = checks.check_networks(None)
    assert ids(found) == ["enjoliver.E003", "enjoliver.E003"]
    assert "10.0.0.0/33" in found[0].msg


def test_matchbox_instances_are_urls(settings):
    settings.MATCHBOX_URLS = ["http://10.0.0.2:8080", "10.0.0.3:8080"]
    assert ids(checks.check_matchbox(None)) == ["enjoliver.E004"]


def test_sqlite_with_a_shared_broker_is_a_warning(monkeypatch, configured):
    configured(ENJOLIVER_BROKER_URL="redis://cache.example/0")
    monkeypatch.setattr(connection, "vendor", "sqlite")
    assert ids(checks.check_database(None)) == ["enjoliver.W002"]


def test_debug_pages_on_a_network_are_a_warning(settings):
    settings.DEBUG, settings.BIND = True, "10.0.0.1:5000"
    assert ids(checks.check_debug(None)) == ["enjoliver.W003"]


def test_every_message_says_what_to_do(settings, configured):
    settings.BIND = "0.0.0.0:5000"
    settings.ADMIN_PASSWORD = "short"
    settings.NODE_NETWORKS = ["x"]
    found = [
        *checks.check_addresses(None),
        *checks.check_password(None),
        *checks.check_networks(None),
    ]
    assert len(found) == 3
    assert all(message.hint for message in found)
