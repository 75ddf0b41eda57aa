"""The first operator: made once, its password kept or configured."""

import stat

import pytest
from django.contrib.auth.models import User

from enjoliver.engine.operators import ensure_first_operator

pytestmark = pytest.mark.django_db


def opens(password):
    return User.objects.get(username="admin").check_password(password)


def test_a_fresh_engine_gets_a_generated_password_that_only_its_owner_reads(tmp_path):
    operator = ensure_first_operator(state_dir=tmp_path, configured_password="")
    kept = tmp_path / "admin-password"
    assert operator.password_file == kept
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert opens(kept.read_text().strip())
    assert User.objects.get(username="admin").is_superuser


def test_a_second_start_changes_nothing(tmp_path):
    ensure_first_operator(state_dir=tmp_path, configured_password="")
    password = (tmp_path / "admin-password").read_text()
    user = User.objects.get(username="admin")
    operator = ensure_first_operator(state_dir=tmp_path, configured_password="")
    assert (tmp_path / "admin-password").read_text() == password
    assert User.objects.get(username="admin").password == user.password
    assert operator.password_file is not None


def test_a_password_written_before_a_crash_is_the_one_that_counts(tmp_path):
    (tmp_path / "admin-password").write_text("kept-from-before\n")
    ensure_first_operator(state_dir=tmp_path, configured_password="")
    assert opens("kept-from-before")


def test_a_configured_password_is_stored_in_no_readable_form(tmp_path):
    operator = ensure_first_operator(state_dir=tmp_path, configured_password="correct horse")
    assert opens("correct horse")
    assert operator.password_file is None
    for file in tmp_path.iterdir():
        assert "correct horse" not in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_changed_configuration_changes_the_password(tmp_path):
    ensure_first_operator(state_dir=tmp_path, configured_password="first")
    ensure_first_operator(state_dir=tmp_path, configured_password="second")
    assert opens("second")
    assert not opens("first")


def test_a_configured_password_replaces_a_generated_one_and_its_file(tmp_path):
    ensure_first_operator(state_dir=tmp_path, configured_password="")
    ensure_first_operator(state_dir=tmp_path, configured_password="configured")
    assert opens("configured")
    assert not (tmp_path / "admin-password").exists()


def test_a_password_changed_in_the_console_stays_while_the_configuration_stays(tmp_path):
    ensure_first_operator(state_dir=tmp_path, configured_password="configured")
    user = User.objects.get(username="admin")
    user.set_password("changed in the console")
    user.save()
    ensure_first_operator(state_dir=tmp_path, configured_password="configured")
    assert opens("changed in the console")


def test_an_operator_made_in_another_way_is_left_alone(tmp_path):
    User.objects.create_superuser("admin", password="by hand")
    operator = ensure_first_operator(state_dir=tmp_path, configured_password="")
    assert opens("by hand")
    assert operator.password_file is None
