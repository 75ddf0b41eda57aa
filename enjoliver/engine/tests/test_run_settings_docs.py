"""The documents about the settings say what the definitions say."""

import io

import pytest
from django.core.management import call_command

from enjoliver.conf import SETTINGS, load, read_env_file
from enjoliver.engine.management.commands.settings_docs import generated_files
from enjoliver.engine.settings_docs import kind


@pytest.mark.parametrize("path", list(generated_files()), ids=lambda path: path.name)
def test_the_committed_document_equals_the_definitions(path):
    assert path.read_text() == generated_files()[path], "run `make generate`"


def test_every_setting_has_a_kind_and_a_meaning():
    for setting in SETTINGS:
        assert kind(setting)
        assert setting.meaning.endswith(".")


def test_the_example_file_changes_nothing_as_it_is_and_names_every_setting(tmp_path):
    (example,) = [path for path in generated_files() if path.name == ".env.example"]
    assert read_env_file(example) == {}
    opened = "\n".join(
        line.removeprefix("#") if line.startswith("#") and not line.startswith("# ") else line
        for line in example.read_text().splitlines()
    )
    (tmp_path / "env").write_text(opened)
    filled = {name: value for name, value in read_env_file(tmp_path / "env").items() if value}
    assert set(read_env_file(tmp_path / "env")) == {setting.name for setting in SETTINGS}
    assert {name: configured.value for name, configured in load(filled).items()} == {
        name: configured.value for name, configured in load({}).items()
    }


def test_the_check_names_what_is_out_of_date(monkeypatch, tmp_path):
    stale = tmp_path / "settings.md"
    stale.write_text("old")
    module = "enjoliver.engine.management.commands.settings_docs"
    monkeypatch.setattr(f"{module}.BASE_DIR", tmp_path)
    said = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("settings_docs", "--check", stderr=said)
    assert "settings.md is out of date" in said.getvalue()
