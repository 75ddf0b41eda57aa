"""How the database is reached: patience with PostgreSQL ends, options of the URL win."""

from enjoliver.settings import _database


def test_a_postgresql_that_is_cut_off_is_not_waited_for_long():
    options = _database("postgres://enjoliver@db/enjoliver")["OPTIONS"]
    assert options["connect_timeout"] <= 5
    assert options["tcp_user_timeout"] <= 15_000
    probing = options["keepalives_idle"] + (
        options["keepalives_interval"] * options["keepalives_count"]
    )
    assert probing <= 15


def test_the_urls_own_options_win():
    options = _database("postgres://enjoliver@db/enjoliver?connect_timeout=9&sslmode=require")
    assert options["OPTIONS"]["connect_timeout"] == 9
    assert options["OPTIONS"]["sslmode"] == "require"
    assert "keepalives_idle" in options["OPTIONS"]


def test_without_a_url_it_is_a_file_in_the_state_directory():
    assert _database("")["ENGINE"].endswith("sqlite3")
    assert "connect_timeout" not in _database("sqlite:////tmp/x.sqlite3").get("OPTIONS", {})
