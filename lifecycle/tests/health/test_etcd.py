"""The kind etcd, on etcd itself: quorum, leader, alarms, learners, TLS."""

import re
import shutil

import pytest

from enjoliver.common.polling import wait_until
from lifecycle.health import Result
from lifecycle.health.etcd import Member, Seen, judge
from lifecycle.tests.health.servers import Etcd, deaf_port, post
from tools.ports import free_port


@pytest.fixture
def etcd(tmp_path):
    cluster = Etcd(tmp_path)
    yield cluster
    cluster.stop()


def wait_for(check, config, is_good, says=""):
    """The first result that is good, or bad, and says so; members need a moment to notice a
    failure, and on a busy computer they choose another leader now and then."""
    # What is down may say nothing at all: that is a bad result too, and not worth a minute.
    more = {} if is_good else {"seconds": 5.0}
    seen: list[Result] = []

    def found():
        seen[:] = [check("etcd", config, **more)]
        is_it = seen[0].is_good is is_good and re.search(says, seen[0].message)
        return seen[0] if is_it else None

    try:
        return wait_until(found, seconds=120, interval=0.2, what=f"the check is {is_good}: {says}")
    except TimeoutError:
        pytest.fail(f"the check is never {is_good} with {says!r}; it says: {seen[0]}")


def test_a_quorum_is_healthy_and_less_is_not(etcd, check):
    config = {"endpoints": etcd.endpoints}
    wait_for(check, config, True, "^3 of 3 members are healthy, led by m")
    etcd.kill(2)
    result = wait_for(check, config, True)
    assert result.message.startswith("2 of 3 members are healthy, led by m")
    assert etcd.endpoints[2] in result.message
    needed = "2 of 3 members are healthy, 2 are the quorum, and 1 to spare"
    wait_for(check, config | {"spare_members": 1}, False, needed)
    etcd.kill(1)
    wait_for(check, config, False, "of 3 members are healthy, 2 are the quorum")
    etcd.start(1)
    wait_for(check, config, True)


def test_one_endpoint_that_is_asked_twice_is_one_member(etcd, check):
    config = {"endpoints": [etcd.endpoints[0], etcd.endpoints[0].replace("127.0.0.1", "localhost")]}
    wait_for(check, {"endpoints": etcd.endpoints}, True)
    wait_for(check, config, False, "^1 of 3 members are healthy, 2 are the quorum")


def test_an_alarm_is_unhealthy_until_it_is_disarmed(etcd, check):
    config = {"endpoints": etcd.endpoints}
    wait_for(check, config, True)
    url = etcd.endpoints[0]
    status = tell(f"{url}/v3/maintenance/status", {})
    for alarm in ("NOSPACE", "CORRUPT"):
        named = {"memberID": status["header"]["member_id"], "alarm": alarm}
        tell(f"{url}/v3/maintenance/alarm", {"action": "ACTIVATE", **named})
        wait_for(check, config, False, f"^alarm: .*{alarm}")
        tell(f"{url}/v3/maintenance/alarm", {"action": "DEACTIVATE", **named})
        wait_for(check, config, True)


def test_a_learner_counts_neither_as_a_member_nor_as_healthy(etcd, check):
    config = {"endpoints": etcd.endpoints}
    wait_for(check, config, True)
    port = free_port()
    document = {"peerURLs": [f"http://127.0.0.1:{port}"], "isLearner": True}
    # A new member is refused until all others have been connected for a while.
    wait_until(
        lambda: has_learner(etcd.endpoints[0]) or told(f"{etcd.endpoints[0]}/{ADD}", document),
        seconds=120,
        interval=0.5,
        what="the learner is added",
    )
    etcd.kill(2)
    result = wait_for(check, config, True)
    assert result.message.startswith("2 of 3 members are healthy")


ADD = "v3/cluster/member/add"


def told(url, document):
    """The answer to a document, None where there is none: a member that lost its leader has to
    be told again."""
    try:
        return post(url, document)
    except OSError:
        return None


def tell(url, document):
    """The answer of a member that heard it in the end."""
    return wait_until(lambda: told(url, document), seconds=120, interval=0.2, what="it is told")


def has_learner(endpoint):
    members = told(f"{endpoint}/v3/cluster/member/list", {}) or {"members": []}
    return any(member.get("isLearner") for member in members["members"])


def test_members_are_asked_with_a_client_certificate(tmp_path, authority, files, check):
    for name in ("ca.pem", "client.pem", "client.key"):
        shutil.copy(authority.folder / name, files / name)
    tls = [
        *("--cert-file", str(authority.folder / "server.pem")),
        *("--key-file", str(authority.folder / "server.key")),
        *("--client-cert-auth", "--trusted-ca-file", str(authority.pem)),
    ]
    etcd = Etcd(tmp_path, size=1, tls=tls)
    try:
        config = {"endpoints": etcd.endpoints, "ca_file": "ca.pem"}
        pair = {"client_cert_file": "client.pem", "client_key_file": "client.key"}
        result = wait_for(check, config | pair, True)
        assert result.message == "1 of 1 members are healthy, led by m0"
        assert not check("etcd", config).is_good
        assert not check("etcd", {"endpoints": etcd.endpoints} | pair).is_good
    finally:
        etcd.stop()


def test_an_endpoint_that_says_nothing_is_named(check, tmp_path):
    with deaf_port() as port:
        result = check("etcd", {"endpoints": [f"http://127.0.0.1:{port}"]})
    assert not result.is_good
    assert result.message.startswith(f"no endpoint answers: http://127.0.0.1:{port} does not")


MEMBERS = (Member("1", "a"), Member("2", "b"), Member("3", "c"))


def seen(member, **more):
    return Seen(f"http://{member}", "", member, "7", more.pop("leader", "1"), (), MEMBERS)


def test_endpoints_of_two_clusters_are_refused():
    other = Seen("http://4", "", "4", "8", "4", (), (Member("4", "x"),))
    with pytest.raises(Exception, match="different clusters"):
        judge([seen("1"), other])


@pytest.mark.parametrize("leaders", [("1", "2"), ("0", "0"), ("9", "9")])
def test_members_that_do_not_agree_on_a_leader_are_not_well(leaders):
    with pytest.raises(Exception, match="no leader that all agree on"):
        judge([seen(str(n), leader=leader) for n, leader in enumerate(leaders, 1)])
