"""Operators see every setting and no secret."""

import pytest
from django.conf import settings

from enjoliver.conf import SETTINGS, load
from enjoliver.engine.shown_settings import MASK, masked, shown_settings


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            "postgres://enjoliver:s3cret@db.example/enjoliver",
            f"postgres://enjoliver:{MASK}@db.example/enjoliver",
        ),
        ("postgres://db.example/x?user=a&password=s3cret", f"postgres://db.example/x?{MASK}"),
        ("redis://:s3cret@cache.example:6379/0", f"redis://:{MASK}@cache.example:6379/0"),
        ("http://matchbox.example:8080", "http://matchbox.example:8080"),
        ("s3cret", MASK),
        ("", ""),
    ],
)
def test_a_secret_shows_only_where_it_leads(value, shown):
    assert masked(value, is_secret=True) == shown


def test_a_password_inside_a_url_is_masked_in_any_setting():
    urls = ["http://user:s3cret@matchbox.example:8080", "http://other.example"]
    assert masked(urls, is_secret=False) == [
        f"http://user:{MASK}@matchbox.example:8080",
        "http://other.example",
    ]


def test_a_url_that_does_not_parse_is_masked_whole():
    assert masked("http://[broken:s3cret@x", is_secret=False) == MASK


def test_plain_values_keep_their_type():
    assert [masked(value, is_secret=False) for value in (3, 1.5, True, "x")] == [3, 1.5, True, "x"]


def test_every_setting_is_shown_with_its_source_and_no_secret_stands_in_it():
    configured = load(
        {
            "ENJOLIVER_SECRET_KEY": "s3cret-key",
            "ENJOLIVER_ADMIN_PASSWORD": "s3cret-word",
            "DATABASE_URL": "postgres://u:s3cret-db@h/n",
            "ENJOLIVER_WEB_WORKERS": "4",
        }
    )
    shown = shown_settings(configured, object())
    assert set(shown) == {setting.name for setting in SETTINGS}
    assert "s3cret" not in str(shown)
    assert shown["ENJOLIVER_WEB_WORKERS"]["value"] == 4
    assert shown["ENJOLIVER_WEB_WORKERS"]["source"] == "environment"
    assert shown["ENJOLIVER_BIND"]["source"] == "default"


def test_the_effective_value_is_the_one_after_derived_defaults():
    shown = shown_settings(load({}), settings)
    assert shown["ENJOLIVER_API_URI"]["value"] == ""
    assert shown["ENJOLIVER_API_URI"]["effective"] == settings.API_URI
