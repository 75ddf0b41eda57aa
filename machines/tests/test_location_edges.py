"""Importing where machines stand: files, command, API, console."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from enjoliver.common.errors import InvalidInput
from machines.locationfiles import format_csv, parse_csv, parse_rows
from machines.models import ImportedLocation, MachineLocation
from machines.tests.factories import MachineFactory, mac_of
from machines.topology import Location


def test_a_file_names_its_columns_in_any_order():
    text = "Rack, machine\n7,52-54-00-00-00-01\n"
    assert parse_csv(text) == {mac_of(1): Location(rack="7")}
    assert parse_csv('\ufeffmachine,site\n"SRV-1","a, b"\n') == {"srv-1": Location(site="a, b")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the columns are machine"),
        ("machine\nx\n", "line 1: the columns are machine"),
        ("machine,colour\nx,red\n", "not 'colour'"),
        ("machine,rack,rack\nx,1,2\n", "twice"),
        ("machine,rack\nx,1\nX,2\n", "line 3: machine: x stands there twice"),
        ("machine,rack\n,1\n", "line 2: machine: a MAC, UUID, serial number or name is needed"),
        ("machine,rack\nx,1,2\n", "line 2: too many columns"),
        (f"machine,rack\nx,{'7' * 121}\n", "line 2: rack: at most 120 characters"),
        ('machine,rack\n"x,1\n', "unexpected end of data"),
    ],
)
def test_a_file_that_cannot_be_taken_says_where_and_why(text, reason):
    with pytest.raises(InvalidInput) as refused:
        parse_csv(text)
    assert reason in refused.value.value


@pytest.mark.parametrize("row", [[], "x", {"machine": 1}, {"machine": "x", "rack": {}}])
def test_rows_of_another_kind_are_refused(row):
    with pytest.raises(InvalidInput):
        parse_rows([row])


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=9)


@given(st.dictionaries(names.filter(bool).map(str.lower), st.builds(Location, names, names)))
def test_what_is_exported_reads_back(places):
    try:
        wanted = parse_rows(
            {"machine": key, "site": one.site, "row": one.row} for key, one in places.items()
        )
    except InvalidInput:
        return
    assert parse_csv(format_csv(wanted)) == wanted


def run(*words):
    out = io.StringIO()
    call_command("location", *words, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_the_command_imports_shows_and_exports(tmp_path):
    MachineFactory.create(number=1)
    path = tmp_path / "racks.csv"
    path.write_text(f"machine,site,row,rack\n{mac_of(1)},dc9,a,7\n{mac_of(2)},dc9,a,8\n")
    said = run("import", str(path))
    assert "2 new, 0 changed, 0 removed; 1 machine moved" in said
    assert f"1 line names no machine yet: {mac_of(2)}" in said
    assert run("show", mac_of(1)) == f"machine,site,row,rack,chassis\n{mac_of(1)},dc9,a,7,\n"
    assert json.loads(run("show", "--json"))[0]["rack"] == "7"
    exported = run("export")
    assert exported.count("\n") == 3
    path.write_text(exported)
    assert json.loads(run("import", str(path), "--replace", "--json"))["changed"] == 0
    path.write_text("machine,rack\n,\n")
    with pytest.raises(CommandError, match="line 2"):
        run("import", str(path))
    with pytest.raises(CommandError, match="no machine"):
        run("show", "nobody")
    with pytest.raises(CommandError):
        run("import", str(tmp_path / "none"))


@pytest.mark.django_db
def test_the_api_lists_pages_and_imports(client, admin_client):
    for number in (1, 2, 3):
        MachineFactory.create(number=number)
    rows = [{"machine": mac_of(1), "site": "dc9", "rack": "7"}, {"machine": "later", "rack": "1"}]
    answer = admin_client.post(
        "/api/v1/locations", {"locations": rows}, content_type="application/json"
    )
    assert answer.json() == {
        "added": 2,
        "changed": 0,
        "removed": 0,
        "moved": 1,
        "unknown": ["later"],
    }
    page = client.get("/api/v1/locations?limit=2").json()
    assert [item["mac"] for item in page["items"]] == [mac_of(1), mac_of(2)]
    assert page["items"][0]["domains"]["rack"] == "site:dc9/rack:7"
    rest = client.get(f"/api/v1/locations?after={page['next']}").json()
    assert ([item["mac"] for item in rest["items"]], rest["next"]) == ([mac_of(3)], None)
    assert client.post("/api/v1/locations", {}).status_code == 401
    bad: list[dict[str, object]] = [
        {"locations": {}},
        {"locations": [1]},
        {"x": 1},
        {"locations": [], "replace": 1},
    ]
    for body in bad:
        answer = admin_client.post("/api/v1/locations", body, content_type="application/json")
        assert answer.status_code == 400, body
    assert client.get("/api/v1/locations?limit=x").status_code == 400


@pytest.mark.django_db
def test_the_console_shows_where_machines_stand_and_what_was_imported(admin_client):
    machine = MachineFactory.create(number=1)
    run_import = {"locations": [{"machine": mac_of(1), "rack": "seven"}]}
    admin_client.post("/api/v1/locations", run_import, content_type="application/json")
    page = reverse("admin:machines_machine_change", args=[machine.pk])
    assert "seven" in admin_client.get(page).content.decode()
    for model in ("importedlocation", "machinelocation"):
        shown = admin_client.get(reverse(f"admin:machines_{model}_changelist"))
        assert "seven" in shown.content.decode()
    assert ImportedLocation.objects.count() == MachineLocation.objects.count() == 1


@pytest.mark.django_db
def test_a_line_is_added_changed_and_removed_in_the_console(admin_client):
    machine = MachineFactory.create(number=1)
    page = reverse("admin:machines_importedlocation_add")
    form = {"key": "52-54-00-00-00-01", "site": "dc9", "row": "", "rack": "7", "chassis": ""}
    assert admin_client.post(page, form).status_code == 302
    row = ImportedLocation.objects.get()
    assert (row.key, row.imported_by, row.rack) == (mac_of(1), "admin", "7")
    assert MachineLocation.objects.get(machine=machine).site == "dc9"
    page = reverse("admin:machines_importedlocation_change", args=[row.pk])
    assert admin_client.post(page, form | {"rack": "8"}).status_code == 302
    assert MachineLocation.objects.get(machine=machine).rack == "8"
    page = reverse("admin:machines_importedlocation_delete", args=[row.pk])
    assert admin_client.post(page, {"post": "yes"}).status_code == 302
    assert MachineLocation.objects.get(machine=machine).rack != "8"
