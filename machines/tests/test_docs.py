"""The page about the life of a machine says what the code says."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from machines.management.commands import states_docs
from machines.services.boots import MAX_UNKNOWN_BOOTS
from machines.services.journals import KEPT_PER_MACHINE
from machines.states import State
from machines.states_page import states_table, with_table


def test_the_committed_table_equals_the_code():
    call_command("states_docs", "--check")


def test_the_table_has_a_row_for_each_state():
    table = states_table()
    assert all(f"`{state.value}`" in table for state in State)
    assert len(table.splitlines()) == len(State) + 2


def test_the_page_names_the_bounds_of_the_code():
    page = states_docs.PAGE.read_text()
    assert f"last {KEPT_PER_MACHINE} boots" in page
    assert f"at most {MAX_UNKNOWN_BOOTS:,}" in page


def test_an_outdated_page_is_told_and_written_anew(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(states_docs.PAGE.read_text().replace("what the engine saw", "old"))
    monkeypatch.setattr(states_docs, "PAGE", page)
    with pytest.raises(CommandError):
        call_command("states_docs", "--check")
    call_command("states_docs")
    call_command("states_docs", "--check")


def test_a_page_without_marks_is_an_error():
    with pytest.raises(ValueError):
        with_table("nothing here")
