"""The private matchbox: real answers, hostile values, and what happens when something breaks."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from django.conf import settings as django_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from enjoliver.common.polling import wait_until
from matchbox_sync import scratch
from matchbox_sync.compose import BootPart, ComposedProfile
from matchbox_sync.ignition import read_ignition
from matchbox_sync.marks import BRACE, Mark, Marked, dump_template, parse_marks, protect
from matchbox_sync.metadata import MEMBERSHIP_KEYS
from matchbox_sync.renderer import PrivateMatchbox, Rendered, RenderFailure, ScratchGroup
from matchbox_sync.scratch import ScratchProcess
from matchbox_sync.tests.real_ignition import applied
from matchbox_sync.tests.samples import PROFILES, compose, group_of, machine, metadata_of
from matchbox_sync.verify import check_rendered, check_strict

pytestmark = pytest.mark.matchbox

MAC = "52:54:00:00:00:01"
BOOT = BootPart("http://10.0.0.1/kernel", ("http://10.0.0.1/initrd",), ("a=b",))


@pytest.fixture(scope="module")
def matchbox():
    with PrivateMatchbox() as private:
        yield private


def profile_of(files, marks=(), **more):
    """A bare profile that makes `files` (path → text, Marked or not)."""
    entries = [{"path": path, "contents": {"inline": text}} for path, text in files.items()]
    tree = {"variant": "flatcar", "version": "1.1.0", "storage": {"files": entries}, **more}
    return ComposedProfile(
        "x", dump_template(tree), BOOT, "f", frozenset(files), frozenset(), frozenset(marks)
    )


def render_one(matchbox, profile, metadata, mac=MAC):
    return matchbox.render(profile, [ScratchGroup("one", mac, metadata)])["one"]


# --- good answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_renders_and_passes_all_checks(matchbox, profile):
    composed = compose(profile)
    group = group_of(profile)
    answer = matchbox.render(composed, [group])[group.key]
    check_rendered(composed, answer)
    check_strict(answer)
    assert json.loads(answer.ignition)["ignition"]["version"] == "3.4.0"


def test_many_machines_get_each_their_own_config(matchbox):
    composed = compose()
    groups = [group_of("kubernetes-node", number) for number in range(1, 60)]
    answers = matchbox.render(composed, groups)
    assert len(answers) == 59
    for group in groups:
        check_rendered(composed, answers[group.key])
        files = read_ignition(answers[group.key].ignition).files
        assert files["/etc/hostname"].decode() == f"{group.metadata['hostname']}\n"


def test_groups_that_select_the_same_machine_do_not_answer_for_each_other(matchbox):
    profile = profile_of({"/a": parse_marks("{{ .name }}")})
    groups = [ScratchGroup(name, MAC, {"name": name}) for name in "abcd"]
    groups.append(ScratchGroup("e", None, {"name": "e"}))
    for key, answer in matchbox.render(profile, groups).items():
        assert read_ignition(answer.ignition).files["/a"].decode() == key


def test_the_order_and_the_company_of_groups_change_no_byte(matchbox):
    composed = compose()
    groups = [group_of("kubernetes-node", number) for number in range(1, 8)]
    together = matchbox.render(composed, groups)
    for group in reversed(groups):
        assert matchbox.render(composed, [group])[group.key] == together[group.key]


def test_nothing_to_render_starts_nothing():
    with PrivateMatchbox() as private:
        assert private.render(compose(), []) == {}
        assert private.pid is None


# --- hostile values -----------------------------------------------------------------------------

TRICKS = ['"', "\\", "'", "`", "\t", "%", "%q", "%!", "{{", "}}", '{{ printf "x" }}', "<", "&", ">"]
CHARACTERS = list("\u2028\x85\ufeff\x7f\x00😀é\U0010ffff")
VALUES = st.lists(
    st.sampled_from(TRICKS)
    | st.sampled_from(CHARACTERS)
    | st.sampled_from(["# ", ": ", "- "])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters=BRACE), max_size=8),
    max_size=8,
).map("".join)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12))
def test_hostile_values_arrive_unchanged_in_the_ignition_files(matchbox, pairs):
    """Values of the cluster (literal) and of the machine (marks), side by side in one text."""
    metadata = {f"v{number}": {"x": value} for number, (_, value) in enumerate(pairs)}
    files = {
        f"/f{number}": parse_marks(f"{protect(literal)}|{{{{ .v{number}.x }}}}|{protect(literal)}")
        for number, (literal, _) in enumerate(pairs)
    }
    answer = render_one(matchbox, profile_of(files), metadata)
    assert isinstance(answer, Rendered), answer
    found = read_ignition(answer.ignition).files
    for number, (literal, value) in enumerate(pairs):
        assert found[f"/f{number}"].decode() == f"{literal}|{value}|{literal}"


NASTY = {
    "quotes": "a \"b\" 'c' `d`",
    "backslashes": "\\ \\n \\\\ \\u0041",
    "lines": "a\nb\r\nc\n\n",
    "tabs": "\ta\t",
    "emoji": "😀 é ß",
    "percent": "100% %s %v %!v",
    "braces": "{{ .x }} }} {{",
    "markup": "<a href='x'>&amp;</a>",
    "separators": "a\u2028b\u2029c\x85d",
    "yaml": "- a: [b, {c: d}] # e",
    "long": "x" * 70_000,
    "zeros": "a\x00b",
}


@pytest.mark.ignition
def test_hostile_values_arrive_unchanged_on_a_machine(matchbox):
    files = {f"/srv/{key}": Marked((Mark(key), "|", NASTY[key])) for key in NASTY}
    answer = render_one(matchbox, profile_of(files), NASTY)
    with applied(answer.ignition) as root:
        for key, value in NASTY.items():
            assert (root / "srv" / key).read_bytes() == f"{value}|{value}".encode()


# --- failures -----------------------------------------------------------------------------------


def test_a_key_that_the_metadata_lacks_is_named_before_matchbox_is_asked():
    composed = replace(compose(), marks=frozenset({"network.nothing"}))
    with PrivateMatchbox() as private:
        answer = render_one(private, composed, metadata_of(machine(1)))
        assert private.pid is None
    assert answer == RenderFailure(
        "render", "{{ .network.nothing }}: the machine's metadata has no such key"
    )


@pytest.mark.parametrize("leaf", [["a"], 3, 1.5, {"a": "b"}])
def test_a_leaf_that_is_no_text_cannot_be_filled_in(matchbox, leaf):
    profile = profile_of({"/a": parse_marks("{{ .x }}")}, marks={"x"})
    answer = render_one(matchbox, profile, {"x": leaf})
    assert "only text and booleans" in answer.message


def test_booleans_are_filled_in_as_words(matchbox):
    profile = profile_of({"/a": parse_marks("{{ .x }} {{ .y }}")}, marks={"x", "y"})
    answer = render_one(matchbox, profile, {"x": True, "y": False})
    assert read_ignition(answer.ignition).files["/a"] == b"true false"


def test_matchbox_itself_refuses_a_missing_key_and_its_log_line_says_which(matchbox):
    profile = profile_of({"/a": parse_marks("{{ .nothing }}")})
    answer = render_one(matchbox, profile, {"x": "y"})
    assert answer.stage == "render"
    assert "error rendering template" in answer.message
    assert '"nothing"' in answer.message


@pytest.mark.parametrize("key", sorted(MEMBERSHIP_KEYS))
def test_a_template_that_uses_membership_cannot_be_rendered(matchbox, key):
    profile = profile_of({"/a": parse_marks(f"{{{{ .{key} }}}}")})
    answer = render_one(matchbox, profile, metadata_of(machine(1)))
    assert isinstance(answer, RenderFailure)
    assert key in answer.message


def test_a_template_that_butane_refuses_comes_with_butanes_reason(matchbox):
    profile = profile_of({"relative": "x"})
    answer = render_one(matchbox, profile, {})
    assert "error translating Butane Config" in answer.message
    assert "path not absolute" in answer.message


def test_a_template_that_is_no_yaml_is_called_so(matchbox):
    profile = replace(profile_of({}), template="a: [")
    assert render_one(matchbox, profile, {}).message.endswith("the rendered text is no YAML")


def test_one_bad_machine_spoils_no_other(matchbox):
    profile = profile_of({"/a": parse_marks("{{ .name }}")})
    groups = [ScratchGroup(str(n), f"52:54:00:00:01:{n:02x}", {"name": str(n)}) for n in range(9)]
    groups[4] = replace(groups[4], metadata={})
    answers = matchbox.render(profile, groups)
    assert [key for key, one in answers.items() if isinstance(one, RenderFailure)] == ["4"]


def test_a_program_that_is_not_there_is_a_failure_with_the_reason(tmp_path):
    with PrivateMatchbox(tmp_path / "nothing") as private:
        answer = render_one(private, compose(), metadata_of(machine(1)))
    assert answer.stage == "render"
    assert "nothing is no program" in answer.message


def test_a_program_that_ends_at_once_is_a_failure_with_its_last_words(tmp_path):
    program = tmp_path / "matchbox"
    program.write_text("#!/bin/sh\necho 'level=fatal msg=\"no licence\"' >&2\nexit 1\n")
    program.chmod(0o755)
    with PrivateMatchbox(program) as private:
        answer = render_one(private, compose(), metadata_of(machine(1)))
    assert answer.message == "the private matchbox gives no answer: no licence"


def test_a_program_that_never_answers_is_a_failure_and_does_not_go_on(tmp_path, monkeypatch):
    spawned = []
    spawn = ScratchProcess._spawn

    def remember(process):
        spawned.append(spawn(process))
        return spawned[-1]

    monkeypatch.setattr(ScratchProcess, "_spawn", remember)
    monkeypatch.setattr(scratch, "START_SECONDS", 0.1)
    program = tmp_path / "matchbox"
    program.write_text("#!/bin/sh\nexec sleep 3600\n")
    program.chmod(0o755)
    with PrivateMatchbox(program) as private:
        answer = render_one(private, compose(), metadata_of(machine(1)))
    assert answer.message.endswith("no answer within 0.1 s")
    assert [process.poll() for process in spawned] == [-signal.SIGKILL] * 2


# --- the process --------------------------------------------------------------------------------


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_ends_with_its_context_and_leaves_nothing_behind(settings, tmp_path):
    settings.STATE_DIR = tmp_path
    with PrivateMatchbox() as private:
        render_one(private, compose(), metadata_of(machine(1)))
        pid = private.pid
        assert not is_gone(pid)
        assert len(list((tmp_path / "scratch").iterdir())) == 1
    assert is_gone(pid)
    assert not list((tmp_path / "scratch").iterdir())


def test_a_crashed_program_is_started_again():
    with PrivateMatchbox() as private:
        group = group_of("kubernetes-node")
        before = private.render(compose(), [group])
        psutil.Process(private.pid).kill()
        wait_until(lambda: is_gone(private.pid), seconds=60, what="the process is gone")
        assert private.render(compose(), [group]) == before


def test_a_scratch_directory_that_somebody_deleted_is_made_again(settings, tmp_path):
    settings.STATE_DIR = tmp_path
    with PrivateMatchbox() as private:
        groups = [group_of("kubernetes-node", number) for number in (1, 2, 3)]
        before = private.render(compose(), groups)
        shutil.rmtree(tmp_path / "scratch")
        assert private.render(compose(), groups) == before


def test_a_program_that_dies_again_is_a_failure_and_the_next_render_tries_anew(tmp_path):
    """A program that passes for matchbox until it is asked for a config."""
    program = tmp_path / "matchbox"
    program.write_text(
        f"#!{sys.executable}\n"
        "import http.server, os, pathlib, sys\n"
        "flags = dict(flag.lstrip('-').split('=', 1) for flag in sys.argv[1:])\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        if not self.path.startswith('/assets/'): os._exit(3)\n"
        "        body = pathlib.Path(flags['data-path'] + self.path).read_bytes()\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(body)\n"
        "host, port = flags['address'].split(':')\n"
        "http.server.HTTPServer((host, int(port)), Handler).serve_forever()\n"
    )
    program.chmod(0o755)
    with PrivateMatchbox(program) as private:
        groups = [group_of("kubernetes-node", number) for number in (1, 2, 3)]
        answers = private.render(compose(), groups)
        assert all(isinstance(one, RenderFailure) for one in answers.values())
        assert "died twice" in str(answers["3"])
        private._program = django_settings.MATCHBOX_BIN
        assert all(isinstance(one, Rendered) for one in private.render(compose(), groups).values())


_HOLDER = """
import sys, time
from matchbox_sync.renderer import PrivateMatchbox
from matchbox_sync.tests.samples import compose, group_of
from django.conf import settings
from pathlib import Path
settings.STATE_DIR = Path(sys.argv[1])
with PrivateMatchbox() as private:
    private.render(compose(), [group_of("kubernetes-node")])
    print(private.pid, flush=True)
    time.sleep(3600)  # until it is killed
"""


def test_it_dies_with_its_parent_and_the_next_one_clears_up(settings, tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "enjoliver.settings_test"},
        cwd=settings.BASE_DIR,
    )
    assert holder.stdout is not None
    try:
        pid = int(holder.stdout.readline())
        assert not is_gone(pid)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    wait_until(lambda: is_gone(pid), seconds=60, what="matchbox died with its parent")
    assert list((tmp_path / "scratch").iterdir())
    settings.STATE_DIR = tmp_path
    with PrivateMatchbox() as private:
        render_one(private, compose(), metadata_of(machine(1)))
        assert len(list((tmp_path / "scratch").iterdir())) == 1


def test_two_at_once_do_not_get_into_each_others_way(matchbox):
    with PrivateMatchbox() as other:
        group = group_of("kubernetes-node")
        assert other.render(compose(), [group]) == matchbox.render(compose(), [group])
        assert other.pid != matchbox.pid
