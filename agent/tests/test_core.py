"""Settings, state, HTTP and waiting: what every verb stands on."""

import errno
import http.server
import io
import json
import os
import random
import threading
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import VERSION, cli, commands
from agent.client import Client, Unreachable
from agent.config import BadSetting, Config, load_config
from agent.environment import read_environment
from agent.files import read_bytes, read_object, write_atomically
from agent.state import StateStore
from agent.waits import Backoff


def test_version_is_the_projects():
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_environment_wins_over_files_and_the_command_line_over_both(tmp_path):
    (tmp_path / "etc/enjoliver").mkdir(parents=True)
    (tmp_path / "etc/metadata-endpoints.env").write_text('ENJOLIVER_API_URI="http://a:1/"\n')
    (tmp_path / "etc/enjoliver/agent.env").write_text("ENJOLIVER_AGENT_POLL_SECONDS=7\n")
    root = {"ENJOLIVER_AGENT_ROOT": str(tmp_path)}
    assert load_config(root).api == "http://a:1"
    assert load_config(root).poll_seconds == 7
    told = {"ENJOLIVER_AGENT_POLL_SECONDS": "8", **root}
    assert load_config(told).poll_seconds == 8
    assert load_config(told, {"ENJOLIVER_AGENT_POLL_SECONDS": "9"}).poll_seconds == 9


def test_identity_is_read_from_the_query_alone():
    config = Config({"ENJOLIVER_RAW_QUERY": "uuid=AB&mac=52-54-00-00-00-01&os=installed"})
    assert (config.uuid, config.boot_mac) == ("ab", "52:54:00:00:00:01")


def test_a_number_out_of_bounds_names_its_setting():
    with pytest.raises(BadSetting, match="ENJOLIVER_REPORT_SECONDS"):
        assert Config({"ENJOLIVER_REPORT_SECONDS": "soon"}).report_seconds


@given(st.text())
def test_any_environment_file_can_be_read(text):
    assert isinstance(read_environment(text), dict)


def test_status_works_without_configuration_and_says_what_is_missing(tmp_path, capsys):
    status = cli.main(["--root", str(tmp_path), "status", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert status == 1
    assert not document["healthy"]
    assert any("ENJOLIVER_API_URI" in words for words in document["missing"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["etcd", "pki"])
def test_verbs_of_later_versions_say_so(verb, caplog):
    assert cli.main([verb]) == 2
    assert "not in this version" in caplog.text


@given(st.binary(max_size=200))
def test_a_torn_state_file_reads_as_empty_or_as_an_object(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("state") / "update.json"
    path.write_bytes(data)
    assert isinstance(read_object(path), dict)


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans())))
def test_what_is_kept_is_read_again(tmp_path_factory, document):
    store = StateStore(tmp_path_factory.mktemp("state"))
    store.write("update", document)
    assert store.read("update") == document


class _KernelFile(io.FileIO):
    """Reads like a file below /proc/sys on Linux 6.1: not with a buffer of 4 MiB or more."""

    def read(self, size=-1, /):
        if size < 0 or size >= 4 << 20:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return super().read(size)

    def readinto(self, buffer, /):
        if len(buffer) >= 4 << 20:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return super().readinto(buffer)


def test_a_kernels_file_is_read_in_pieces_that_it_gives(tmp_path, monkeypatch):
    (tmp_path / "boot_id").write_bytes(b"c58412bb" * 20000)
    raw = _KernelFile(tmp_path / "boot_id")

    def open_it(path, mode, buffering=-1):
        return raw if buffering == 0 else io.BufferedReader(raw)

    monkeypatch.setattr(Path, "open", open_it)
    assert read_bytes(tmp_path / "boot_id") == b"c58412bb" * 20000


def test_a_file_that_is_too_large_counts_as_missing(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", limit=5) == b"12345"
    assert read_bytes(tmp_path / "file", limit=4) is None


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("agent.files.os.fsync", _full)
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_behind_does_not_pile_up(tmp_path):
    store = StateStore(tmp_path)
    store.tidy(2e9)
    store.write("update", {})
    for name, at in ((".update.json.a1.tmp", 1e9), (".update.json.b2.tmp", 2e9)):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (at, at))
    os.utime(tmp_path / "update.json", (1e9, 1e9))
    store.tidy(2e9 + 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".update.json.b2.tmp",
        "update.json",
    ]


def _full(handle):
    raise OSError("the disk is full")


@given(st.integers(0, 200), st.floats(0, 1e6))
def test_pauses_stay_within_their_bounds(steps, asked):
    backoff = Backoff(1, 60, random.Random(1))
    for _ in range(steps):
        backoff.next_pause()
    pause = backoff.next_pause(asked)
    assert 0.75 <= pause <= max(75, 1.25 * min(asked, 3600))
    assert pause >= min(asked, 3600)


@contextmanager
def server(answer):
    """A server that answers every request by `answer(handler)`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}"
        finally:
            found.shutdown()
            thread.join()


def _short(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    handler.wfile.write(b"short")


def test_an_answer_that_ends_early_is_none():
    with server(_short) as url, pytest.raises(Unreachable):
        Client(60).get(url)


def _drips(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x")
        threading.Event().wait(0.05)


def test_an_answer_that_drips_is_cut_at_the_deadline():
    with server(_drips) as url, pytest.raises(Unreachable, match=r"too long|timed out"):
        Client(0.3).get(url)


def _endless(handler):
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * (1 << 20))
    except OSError:
        return


def test_an_answer_without_end_is_refused():
    with server(_endless) as url, pytest.raises(Unreachable, match="larger"):
        Client(120).get(url)


def _moved(handler):
    handler.send_response(302)
    handler.send_header("Location", "http://192.0.2.1/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_a_redirect_is_an_answer_like_any_other():
    with server(_moved) as url:
        assert Client(60).get(url).status == 302


@pytest.mark.parametrize("url", ["", "ftp://x/", "http://", "http://x:y/", "http://127.0.0.1:1/"])
def test_no_address_and_nobody_there_are_unreachable(url):
    with pytest.raises(Unreachable):
        Client(1).get(url)


def test_a_late_program_is_stopped_with_its_children():
    result = commands.run(["sh", "-c", "sleep 60 & sleep 60"], seconds=0.2)
    assert result.status is None
    assert "stopped after" in result.sentence()


def test_a_missing_program_is_no_exception():
    assert "No such file" in commands.run(["/nowhere/at/all"], seconds=1).sentence()


def test_programs_do_not_get_the_libraries_that_the_built_agent_brings_along(monkeypatch):
    own = {"PATH": "/bin", "LD_LIBRARY_PATH": "/agent/_internal"}
    assert commands.plain_environment(own) == own
    monkeypatch.setattr("sys.frozen", True, raising=False)
    assert commands.plain_environment(own) == {"PATH": "/bin"}
    before = {**own, "LD_LIBRARY_PATH_ORIG": "/site"}
    assert commands.plain_environment(before) == {"PATH": "/bin", "LD_LIBRARY_PATH": "/site"}
