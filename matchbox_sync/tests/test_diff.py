"""The semantic diff: what it shows, what it leaves out, and that nothing slips through it."""

import base64
import copy
import gzip
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchbox_sync.diff import (
    Side,
    as_json,
    as_text,
    compare,
    group_changes,
    key_of,
    own_values,
)
from matchbox_sync.diff.text import NO_NEWLINE, diff_texts
from matchbox_sync.ignition import IgnitionError


def file_entry(path, body, packing="base64", **more):
    """A file as Butane writes it, in one of the ways that mean the same."""
    data = body if isinstance(body, bytes) else body.encode()
    contents = {
        "plain": {"source": f"data:,{quote(data)}"},
        "base64": {"source": f"data:;base64,{base64.b64encode(data).decode()}"},
        "gzip": {
            "source": f"data:;base64,{base64.b64encode(gzip.compress(data, mtime=0)).decode()}",
            "compression": "gzip",
        },
    }[packing]
    return {"path": path, "mode": 0o644, "contents": contents, **more}


def document(**sections):
    return {"ignition": {"version": "3.3.0"}, **sections}


def side(tree, **more):
    return Side(json.dumps(tree).encode(), **more)


def diff_of(before, after, **more):
    return compare(side(before), side(after, **more))


def files(*entries):
    return document(storage={"files": list(entries)})


def units(*entries):
    return document(systemd={"units": list(entries)})


def users(*entries):
    return document(passwd={"users": list(entries)})


# --- what it shows ------------------------------------------------------------------------------


def test_a_changed_file_is_shown_as_text_with_its_attributes():
    diff = diff_of(
        files(file_entry("/etc/a", "one\ntwo\nthree\n")),
        files(file_entry("/etc/a", "one\n2\nthree\n", mode=0o600, user={"name": "core"})),
    )
    assert as_json(diff) == [
        {
            "kind": "file",
            "name": "/etc/a",
            "action": "changed",
            "attributes": [
                {"name": "mode", "before": "0644", "after": "0600"},
                {"name": "user.name", "before": None, "after": "core"},
            ],
            "text": "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three",
        }
    ]
    assert diff.summary == "1 file changed"
    assert as_text(diff).splitlines() == [
        "file /etc/a: changed",
        "    mode: 0644 → 0600",
        "    user.name: core",
        "    @@ -1,3 +1,3 @@",
        "     one",
        "    -two",
        "    +2",
        "     three",
    ]


def test_a_binary_file_is_shown_by_size_and_digest():
    diff = diff_of(files(file_entry("/opt/x", b"\0\1")), files(file_entry("/opt/x", b"\0\1\2")))
    binary = as_json(diff)[0]["binary"]
    assert (binary["before"]["size"], binary["after"]["size"]) == (2, 3)
    assert len(binary["after"]["sha256"]) == 64
    assert "2 bytes (SHA-256" in as_text(diff)


def test_files_that_configure_the_network_are_a_kind_of_their_own():
    diff = compare(None, side(files(*(file_entry(p, "x") for p in (
        "/etc/systemd/network/10-eth0.network", "/etc/hosts", "/etc/motd"
    )))))  # fmt: skip
    kinds = {change.name: change.kind for change in diff.changes if change.kind != "other"}
    assert kinds == {
        "/etc/hosts": "network",
        "/etc/systemd/network/10-eth0.network": "network",
        "/etc/motd": "file",
    }


def test_units_and_their_drop_ins_are_told_apart():
    before = units({"name": "a.service", "enabled": True, "contents": "[Unit]\n"})
    after = units(
        {
            "name": "a.service",
            "enabled": False,
            "contents": "[Unit]\n",
            "dropins": [{"name": "10.conf", "contents": "[Service]\n"}],
        },
        {"name": "b.service", "mask": True},
    )
    diff = diff_of(before, after)
    assert [(c.kind, c.name, c.action) for c in diff.changes] == [
        ("unit", "a.service", "changed"),
        ("unit", "b.service", "added"),
        ("drop-in", "a.service.d/10.conf", "added"),
    ]
    assert diff.summary == "1 unit changed, 1 unit added, 1 drop-in added"


def test_ssh_keys_are_lines_and_a_password_is_never_shown():
    before = users({"name": "core", "sshAuthorizedKeys": ["b", "a"], "passwordHash": "$6$old"})
    after = users({"name": "core", "sshAuthorizedKeys": ["c", "a"], "passwordHash": "$6$new"})
    text = as_text(diff_of(before, after))
    assert "-b" in text
    assert "+c" in text
    assert "password: hash" in text
    assert "$6$" not in text


def test_the_order_of_ssh_keys_does_not_matter():
    before = users({"name": "core", "sshAuthorizedKeys": ["b", "a"]})
    assert diff_of(before, users({"name": "core", "sshAuthorizedKeys": ["a", "b"]})).is_empty


def test_kernel_arguments_directories_links_and_metadata_are_compared():
    before = Side(
        json.dumps(document(storage={"directories": [{"path": "/a", "mode": 448}]})).encode(),
        boot={"kernel": "/k", "initrd": ["/i"], "args": ["quiet", "a=1"]},
        metadata={"ntp": "x", "network": {"ip": "192.0.2.1"}},
    )
    after = Side(
        json.dumps(document(storage={"links": [{"path": "/a", "target": "/b"}]})).encode(),
        boot={"kernel": "/k2", "initrd": ["/i"], "args": ["quiet", "a=2"]},
        metadata={"ntp": "y", "network": {"ip": "192.0.2.1"}},
    )
    diff = compare(before, after)
    assert [(c.kind, c.name, c.action) for c in diff.changes] == [
        ("kernel", "arguments", "changed"),
        ("kernel", "image", "changed"),
        ("directory", "/a", "removed"),
        ("link", "/a", "added"),
        ("metadata", "ntp", "changed"),
    ]


def test_a_file_fetched_from_elsewhere_differs_by_its_source_and_digest():
    def remote(url, digest):
        contents = {"source": url, "verification": {"hash": digest}}
        return files({"path": "/opt/x", "contents": contents})

    diff = diff_of(remote("http://a/x", "sha512-1"), remote("http://a/x", "sha512-2"))
    (attribute,) = diff.changes[0].attributes
    assert attribute.name == "contents.verification.hash"


def test_what_no_reader_knows_is_shown_all_the_same():
    before = document(future={"key": [1, 2]}, storage={"luks": [{"name": "root", "wipe": True}]})
    after = document(future={"key": [1, 3]}, storage={"luks": [{"name": "root"}]})
    diff = diff_of(before, after)
    assert [(c.kind, c.name) for c in diff.changes] == [
        ("disk", "luks root"),
        ("other", "future.key"),
    ]


def test_a_missing_last_newline_is_told():
    assert NO_NEWLINE in "\n".join(diff_texts("a\n", "a").unified)
    assert NO_NEWLINE not in "\n".join(diff_texts("a", "b").unified)


def test_a_diff_cannot_move_a_terminals_cursor():
    text = as_text(diff_of(users(), users({"name": "\x1b[2J", "gecos": "\r\x07"})))
    assert not re.search("[\x00-\x08\x0b-\x1f]", text)


def test_long_texts_are_cut_and_the_rest_is_counted():
    diff = diff_of(files(), files(file_entry("/a", "x\n" * 1000)))
    assert as_text(diff).splitlines()[-1].strip() == "… 601 more lines"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'{"storage": [1]}',
        b'{"storage": {"files": 1}}',
        b'{"storage": {"files": [{"path": "/a", "contents": 1}]}}',
        b'{"storage": {"files": [{"path": "/a", "contents": {"source": "data:;base64,*"}}]}}',
    ],
)
def test_what_is_no_document_is_an_error_and_no_crash(body):
    with pytest.raises(IgnitionError):
        compare(Side(body), side(document()))


# --- properties ---------------------------------------------------------------------------------

NAMES = st.text("abcdefgh-.", min_size=1, max_size=6)
TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=6).map("\n".join)
BODIES = st.one_of(TEXTS.map(str.encode), st.binary(max_size=12))
MODES = st.integers(0, 0o7777)


@st.composite
def documents(draw):
    """Documents of every kind of entry, with unique names."""

    def some(kind):
        return draw(st.lists(kind, max_size=4, unique_by=lambda e: e.get("path") or e["name"]))

    packing = st.sampled_from(["plain", "base64", "gzip"])
    file_ = st.builds(
        lambda name, body, pack, mode: file_entry(f"/etc/{name}", body, pack, mode=mode),
        NAMES, BODIES, packing, MODES,
    )  # fmt: skip
    directory = st.builds(lambda n, m: {"path": f"/srv/{n}", "mode": m}, NAMES, MODES)
    link = st.builds(lambda n, t: {"path": f"/run/{n}", "target": t}, NAMES, NAMES)
    dropin = st.builds(lambda n, t: {"name": n, "contents": t}, NAMES, TEXTS)
    unit = st.builds(
        lambda n, t, e, d: {"name": n, "contents": t, "enabled": e, "dropins": d},
        NAMES, TEXTS, st.booleans(), st.lists(dropin, max_size=2, unique_by=lambda d: d["name"]),
    )  # fmt: skip
    user = st.builds(
        lambda n, k: {"name": n, "sshAuthorizedKeys": k}, NAMES, st.lists(NAMES, max_size=3)
    )
    return document(
        storage={"files": some(file_), "directories": some(directory), "links": some(link)},
        systemd={"units": some(unit)},
        passwd={"users": some(user)},
    )


@settings(deadline=None)
@given(documents())
def test_a_document_does_not_differ_from_itself_in_other_bytes(tree):
    other = copy.deepcopy(tree)
    for kind in ("files", "directories", "links"):
        other["storage"][kind].reverse()
    other["systemd"]["units"].reverse()
    for entry in other["storage"]["files"]:
        body = _body(entry)
        entry |= file_entry(entry["path"], body, "gzip", mode=entry["mode"])
    indented = Side(json.dumps(other, indent=1, sort_keys=True).encode())
    assert compare(side(tree), indented).is_empty


def _body(entry):
    (change,) = [c for c in compare(None, side(files(entry))).changes if c.name == entry["path"]]
    from matchbox_sync.ignition import read_ignition

    assert change.action == "added"
    return read_ignition(json.dumps(files(entry)).encode()).files[entry["path"]]


@settings(deadline=None)
@given(documents(), documents())
def test_no_difference_slips_through_and_both_directions_mirror_each_other(one, two):
    forth, back = diff_of(one, two), diff_of(two, one)
    assert forth.is_empty == (_meaning(one) == _meaning(two))
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [(c.kind, c.name, opposite[c.action]) for c in forth.changes] == [
        (c.kind, c.name, c.action) for c in back.changes
    ]
    assert forth == diff_of(one, two)
    assert json.loads(json.dumps(as_json(forth))) == as_json(forth)
    as_text(forth)


def _meaning(tree):
    """The document as plain data, in which only what a machine notices is left."""
    from matchbox_sync.ignition import read_ignition

    bodies = read_ignition(json.dumps(tree).encode()).files
    units = [
        (u["name"], u["contents"], u["enabled"], sorted(map(str, u["dropins"])))
        for u in tree["systemd"]["units"]
    ]
    return (
        sorted((f["path"], f["mode"], bodies[f["path"]]) for f in tree["storage"]["files"]),
        sorted(map(str, tree["storage"]["directories"] + tree["storage"]["links"])),
        sorted(units),
        sorted((u["name"], sorted(set(u["sshAuthorizedKeys"]))) for u in tree["passwd"]["users"]),
    )


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_a_unified_diff_applied_to_the_text_before_gives_the_text_after(before, after):
    if before != after:
        assert _patched(before, diff_texts(before, after).unified) == after


def _patched(text, unified):
    """What patch(1) does, with our word for a missing newline."""
    marked = any(line[1:] == NO_NEWLINE for line in unified)
    old = text.split("\n")
    if text.endswith("\n") or not text:
        old.pop()
    elif marked:
        old.append(NO_NEWLINE)
    new, place = [], 0
    for line in unified:
        found = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+\S+ @@", line)
        if found:
            start = int(found[1]) - (found[2] != "0")
            new += old[place:start]
            place = start
        elif line[0] == "+":
            new.append(line[1:])
        else:
            assert old[place] == line[1:]
            place += 1
            if line[0] == " ":
                new.append(line[1:])
    new += old[place:]
    is_open = new and new[-1] == NO_NEWLINE
    if is_open:
        new.pop()
    elif new and not marked and text and not text.endswith("\n"):
        is_open = True
    return "\n".join(new) + ("" if is_open or not new else "\n")


# --- grouping -----------------------------------------------------------------------------------


def machine_side(number, *lines, **values):
    metadata = {
        "network": {"ip": f"192.0.2.{number}"},
        "fqdn": f"r1-srv{number}.example.test",
        "uuid": f"00000000-0000-4000-8000-{number:012x}",
        **values,
    }
    own = f"# {metadata['fqdn']}\n" * number
    body = own + "".join(f"{line}\n" for line in lines).replace("IP", metadata["network"]["ip"])
    return side(files(file_entry("/etc/x", body)), metadata=metadata)


def keyed(before, after):
    return key_of(compare(before, after), own_values(before.metadata, after.metadata))


def test_the_identical_change_has_one_key_whatever_stands_around_it():
    keys = {n: keyed(machine_side(n, "a"), machine_side(n, "b")) for n in range(1, 5)}
    assert len({key.exact for key in keys.values()}) == 1
    assert group_changes(keys) == {keys[1].exact: [1, 2, 3, 4]}


def test_a_changed_line_with_the_machines_own_address_is_still_the_same_change():
    keys = {n: keyed(machine_side(n, "ip=IP"), machine_side(n, "ip=IP x")) for n in range(1, 5)}
    assert len({key.exact for key in keys.values()}) == 4
    (members,) = group_changes(keys).values()
    assert members == [1, 2, 3, 4]


def test_a_value_of_everybody_that_is_one_machines_own_makes_no_group_of_its_own():
    keys = {
        n: keyed(machine_side(n, "peers"), machine_side(n, "peers", "192.0.2.3"))
        for n in range(1, 5)
    }
    assert keys[3].own != keys[1].own
    (members,) = group_changes(keys).values()
    assert members == [1, 2, 3, 4]


def test_an_address_is_not_found_inside_another_one():
    one = keyed(machine_side(1, "a"), machine_side(1, "192.0.2.12"))
    two = keyed(machine_side(2, "a"), machine_side(2, "192.0.2.12"))
    assert one.own == two.own


@settings(deadline=None)
@given(documents(), documents(), documents())
def test_different_changes_have_different_keys(base, one, two):
    first, second = diff_of(base, one), diff_of(base, two)
    if _meaning(one) == _meaning(two):
        assert key_of(first, {}) == key_of(second, {})
    elif _essence(first) != _essence(second):
        assert key_of(first, {}) != key_of(second, {})


def _essence(diff):
    return [
        (c.kind, c.name, c.action, c.attributes, c.text and c.text.hunks, c.binary)
        for c in diff.changes
    ]
