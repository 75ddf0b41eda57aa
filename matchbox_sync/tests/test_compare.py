"""Public matchboxes are compared with what was verified, and not more often than needed."""

import http.server
import threading

import pytest

from matchbox_sync.documents import load_document
from matchbox_sync.models import DesiredConfig, Problem
from matchbox_sync.services import compare, sync_cluster
from matchbox_sync.tests.fleet import CONTROL_PLANE, place

pytestmark = pytest.mark.matchbox


class Instance(http.server.ThreadingHTTPServer):
    """A public matchbox that answers each MAC with the verified bytes, or with `other`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.other = None
        self.bodies = {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Instance

    def do_GET(self):
        mac = self.path.partition("mac=")[2].partition("&")[0].replace("%3A", ":")
        self.server.asked.append(mac)
        body = self.server.other or self.server.bodies.get(mac, b"")
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def instance(cluster, settings, monkeypatch):
    monkeypatch.setattr(compare, "_agreed_at", {})
    monkeypatch.setattr(compare, "TIMEOUT_SECONDS", 60.0)
    original = compare._samples
    with Instance() as running:

        def samples(cluster):  # in the test's own thread, which alone sees its database
            running.bodies = {
                row.config.mac: load_document(row.sha512)
                for row in DesiredConfig.objects.select_related("config")
            }
            return original(cluster)

        monkeypatch.setattr(compare, "_samples", samples)
        settings.MATCHBOX_URLS = [running.url]
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def differing():
    return list(Problem.objects.filter(stage="compare").values_list("profile", flat=True))


def test_one_machine_of_each_profile_is_asked_for_once(instance, cluster):
    place(1, CONTROL_PLANE)
    place(2)
    sync_cluster(cluster=cluster)
    assert len(instance.asked) == 2
    assert differing() == []
    place(3)
    sync_cluster(cluster=cluster)
    assert len(instance.asked) == 2  # another machine's group changes nothing in how it renders


def test_another_content_of_a_profile_is_compared_again(instance, cluster):
    from scheduling.services import set_values

    place(1, CONTROL_PLANE)
    sync_cluster(cluster=cluster)
    set_values(cluster=cluster, changes={"kernel_modules": ["overlay"]}, actor="test")
    sync_cluster(cluster=cluster)
    assert len(instance.asked) == 2


def test_other_bytes_are_a_problem_until_they_agree(instance, cluster):
    instance.other = b"rendered by another version"
    place(1, CONTROL_PLANE)
    sync_cluster(cluster=cluster)
    assert differing() == ["etcd-member-kubernetes-control-plane"]
    place(2)
    sync_cluster(cluster=cluster)
    assert sorted(differing()) == ["etcd-member-kubernetes-control-plane", "kubernetes-node"]
    instance.other = None
    place(3)
    sync_cluster(cluster=cluster)
    assert differing() == []


def test_an_instance_is_asked_again_after_an_hour(instance, cluster, monkeypatch):
    place(1, CONTROL_PLANE)
    sync_cluster(cluster=cluster)
    monkeypatch.setattr(compare, "ASK_AGAIN_SECONDS", 0.0)
    place(2)
    sync_cluster(cluster=cluster)
    assert len(instance.asked) == 3


def test_an_instance_that_is_away_is_no_problem_and_asked_next_time(instance, cluster, settings):
    settings.MATCHBOX_URLS = ["http://127.0.0.1:9"]
    place(1, CONTROL_PLANE)
    sync_cluster(cluster=cluster)
    assert differing() == []
    assert not compare._agreed_at
