"""Names, digests, manifest, uses and signatures of assets: what needs no database."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enjoliver.common.errors import InvalidInput
from matchbox_sync.assets.advice import values_for
from matchbox_sync.assets.digests import read_digests, read_sha512
from matchbox_sync.assets.manifest import Asset, Signature, dump_manifest, parse_manifest
from matchbox_sync.assets.naming import (
    clean_path,
    guess_kind,
    guess_version,
    is_hidden,
    version_of_release,
)
from matchbox_sync.assets.signatures import check_signature
from matchbox_sync.assets.table import asset_table, human_size
from matchbox_sync.assets.uses import Use, asset_of_url, uses_of_boot, uses_of_values
from scheduling.values import merge_values

DATA = Path(__file__).parent / "data" / "assets"
API = "http://10.0.0.1:5000"


def asset(path="4230.2.3/vmlinuz", **changed):
    facts: dict[str, Any] = {
        "kind": "kernel",
        "version": "4230.2.3",
        "size": 10,
        "sha512": "a" * 128,
    }
    facts |= {"added_at": "2026-01-01T00:00:00.000Z", "added_by": "root"} | changed
    return Asset(path=path, **facts)


class TestNames:
    @pytest.mark.parametrize(
        "path", ["vmlinuz", "4230.2.3/flatcar_production_pxe.vmlinuz", "a/b@1"]
    )
    def test_paths_that_a_value_can_name_are_taken(self, path):
        assert clean_path(path) == path
        assert clean_path(f"/assets/{path}") == path

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a//b",
            "a/",
            ".x",
            "a/.x",
            "a b",
            "ä",
            "-x",
            "x\n",
            "a" * 201,
        ],
    )
    def test_other_paths_are_refused(self, path):
        with pytest.raises(InvalidInput):
            clean_path(path)

    @given(st.text(max_size=30))
    def test_any_text_is_a_safe_path_or_refused(self, text):
        try:
            path = clean_path(text)
        except InvalidInput:
            return
        assert not is_hidden(path)
        assert not path.startswith("/")
        assert ".." not in path.split("/")

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("flatcar_production_pxe.vmlinuz", "kernel"),
            ("flatcar_production_pxe_image.cpio.gz", "initrd"),
            ("flatcar_production_image.bin.bz2", "image"),
            ("flatcar_production_image.bin.bz2.sig", "other"),
            ("flatcar_production_image.bin.bz2.DIGESTS.asc", "other"),
            ("enjoliver-agent-0.1.0-amd64.tar.gz", "agent"),
            ("lab/initrd-live.img", "initrd"),
            ("lab/vmlinuz-6.1", "kernel"),
            ("root.squashfs", "image"),
            ("disk.img.zst", "image"),
            ("version.txt", "other"),
        ],
    )
    def test_the_kind_is_told_by_the_name(self, name, kind):
        assert guess_kind(name) == kind

    def test_the_version_is_the_innermost_folder_that_looks_like_one(self):
        assert guess_version("flatcar/4230.2.3/vmlinuz") == "4230.2.3"
        assert guess_version("flatcar/current/vmlinuz") == ""
        assert version_of_release("A=1\nFLATCAR_VERSION=4230.2.3\n") == "4230.2.3"
        assert version_of_release("") == ""


class TestDigests:
    def test_a_flatcar_digests_file_gives_the_sha512_of_each_name(self):
        text = (
            "# MD5 HASH\nd41d8cd98f00b204e9800998ecf8427e  image.bz2\n"
            f"# SHA512 HASH\n{'B' * 128}  image.bz2\n{'c' * 128} *other\n"
        )
        assert read_digests(text) == {"image.bz2": "b" * 128, "other": "c" * 128}

    def test_a_digest_of_another_length_is_refused(self):
        assert read_sha512(f" {'A' * 128}\n") == "a" * 128
        with pytest.raises(InvalidInput):
            read_sha512("a" * 64)


class TestManifest:
    def test_what_is_written_is_read_again(self):
        signed = asset("x", signature=Signature("verified", "x.sig", "F" * 40, "since"))
        assets = {"x": signed, "4230.2.3/vmlinuz": asset()}
        assert parse_manifest(dump_manifest(assets)) == assets
        assert dump_manifest(dict(reversed(assets.items()))) == dump_manifest(assets)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b'{"format": 2, "assets": []}',
            b'{"format": 1, "assets": [1]}',
            b'{"format": 1, "assets": [{"path": "x"}]}',
            b"\xff",
        ],
    )
    def test_anything_else_is_a_value_error(self, data):
        with pytest.raises(ValueError):
            parse_manifest(data)


class TestUses:
    def test_values_name_kernel_initrd_image_folder_and_agent(self):
        values = merge_values(
            {"agent_url": f"{API}/assets/agents/a.tgz", "agent_sha512": "d" * 128}
        )
        assert uses_of_values("default", values, API) == [
            Use("default", "boot_kernel", "flatcar_production_pxe.vmlinuz"),
            Use("default", "boot_initrd", "flatcar_production_pxe_image.cpio.gz"),
            Use("default", "install_version", "current", is_folder=True),
            Use("default", "agent_url", "agents/a.tgz", sha512="d" * 128),
        ]

    def test_what_another_server_keeps_is_no_use_of_ours(self):
        values = merge_values(
            {"install_base_url": "http://mirror/flatcar", "agent_url": "http://mirror/a.tgz"}
        )
        assert [use.by for use in uses_of_values("x", values, API)] == [
            "boot_kernel",
            "boot_initrd",
        ]

    def test_a_folder_below_the_assets_may_be_the_base(self):
        values = merge_values(
            {"install_base_url": f"{API}/assets/flatcar", "install_version": "4230.2.3"}
        )
        assert uses_of_values("x", values, API)[2].path == "flatcar/4230.2.3"

    def test_a_published_profile_uses_what_it_boots(self):
        boot = {"kernel": f"{API}/assets/a/k", "initrd": [f"{API}/assets/a/i", "http://x/assets/j"]}
        assert [use.path for use in uses_of_boot("c", "discovery", boot, API)] == ["a/k", "a/i"]

    def test_an_address_that_only_begins_alike_is_another_one(self):
        assert asset_of_url("http://10.0.0.1:50001/assets/x", API) is None
        assert asset_of_url(f"{API}/assetsx/y", API) is None
        assert asset_of_url(f"{API}/assets/x?a=b", API) == "x"


def test_the_advice_names_values_that_use_the_assets():
    found = values_for(
        [
            asset(),
            asset("flatcar/4230.2.3/i.cpio.gz", kind="initrd"),
            asset("flatcar/4230.2.3/image.bin.bz2", kind="image"),
            asset("a.tgz", kind="agent"),
        ],
        API,
    )
    assert found == {
        "boot_kernel": "4230.2.3/vmlinuz",
        "boot_initrd": "flatcar/4230.2.3/i.cpio.gz",
        "install_base_url": f"{API}/assets/flatcar",
        "install_version": "4230.2.3",
        "agent_url": f"{API}/assets/a.tgz",
        "agent_sha512": "a" * 128,
    }
    assert values_for([asset("4230.2.3/x.img", kind="image")], API)["install_base_url"] == ""
    assert values_for([asset("x.img", kind="image")], API) == {}


def test_the_table_has_a_column_for_each_fact():
    row = asset(signature=Signature("unverified")).as_json()
    row |= {"state": "present", "used_by": ["default: boot_kernel"]}
    titles, line = asset_table([row])
    assert titles.index("STATE") == line.index("present")
    assert titles.index("USED BY") == line.index("default: boot_kernel")
    assert [human_size(n) for n in (0, 1023, 1536, 3 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "3.0 GiB",
    ]


class TestSignatures:
    """By the real gpgv, over keys that were made for it: good, expired, revoked, unknown."""

    @pytest.mark.parametrize("keyring", ["keys.gpg", "keys.asc"])
    @pytest.mark.parametrize("signature", ["vmlinuz.sig", "vmlinuz.asc"])
    def test_a_good_one_is_verified_with_its_key(self, keyring, signature):
        found = check_signature(DATA / "vmlinuz", DATA / signature, DATA / keyring)
        assert (found.state, found.remark) == ("verified", "")
        assert len(found.key) == 40

    def test_one_of_a_key_that_expired_later_is_verified_and_told(self):
        found = check_signature(DATA / "vmlinuz", DATA / "expired.sig", DATA / "keys.gpg")
        assert (found.state, found.remark) == ("verified", "by a key that has expired since")

    @pytest.mark.parametrize(
        ("signature", "reason"),
        [
            ("revoked.sig", "revoked"),
            ("stranger.sig", "not in the keyring"),
            ("vmlinuz", "no good signature"),
        ],
    )
    def test_others_are_bad_with_the_reason(self, signature, reason):
        found = check_signature(DATA / "vmlinuz", DATA / signature, DATA / "keys.gpg")
        assert found.state == "bad"
        assert reason in found.remark

    def test_one_of_other_content_is_bad(self, tmp_path):
        (tmp_path / "vmlinuz").write_bytes(b"another kernel")
        found = check_signature(tmp_path / "vmlinuz", DATA / "vmlinuz.sig", DATA / "keys.gpg")
        assert (found.state, found.remark) == ("bad", "the signature is of other content")

    def test_a_keyring_that_is_none_is_refused_or_verifies_nothing(self, tmp_path):
        with pytest.raises(InvalidInput):
            check_signature(DATA / "vmlinuz", DATA / "vmlinuz.sig", tmp_path / "nothing")
        (tmp_path / "text").write_text("no keys")
        (tmp_path / "armour").write_text(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!\n-----END PGP PUBLIC KEY BLOCK-----\n"
        )
        found = check_signature(DATA / "vmlinuz", DATA / "vmlinuz.sig", tmp_path / "text")
        assert found.state == "bad"
        with pytest.raises(InvalidInput):
            check_signature(DATA / "vmlinuz", DATA / "vmlinuz.sig", tmp_path / "armour")
