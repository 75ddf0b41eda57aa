"""Assets come whole, checked and written down; what is wrong with them is found."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from enjoliver.common.polling import wait_until
from matchbox_sync.assets.folder import LOCK, MANIFEST, AssetFolder
from matchbox_sync.models import ProfileInForce, ProfileVersion
from matchbox_sync.services.assetuse import missing_uses
from scheduling.services import set_values

DATA = Path(__file__).parent / "data" / "assets"
API = "http://10.0.0.1:5000"
pytestmark = pytest.mark.django_db


@pytest.fixture
def root(settings, tmp_path):
    settings.ASSETS_PATH = tmp_path / "assets"
    settings.API_URI = API
    return settings.ASSETS_PATH


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "vmlinuz"
    file.write_bytes(b"a kernel")
    return file


@pytest.fixture
def release(tmp_path):
    """A folder as Flatcar publishes it, with a signature of the tests' key over the kernel."""
    folder = tmp_path / "release"
    folder.mkdir()
    shutil.copy(DATA / "vmlinuz", folder / "flatcar_production_pxe.vmlinuz")
    shutil.copy(DATA / "vmlinuz.sig", folder / "flatcar_production_pxe.vmlinuz.sig")
    (folder / "version.txt").write_text("FLATCAR_VERSION=4230.2.3\n")
    digest = hashlib.sha512((DATA / "vmlinuz").read_bytes()).hexdigest()
    (folder / "flatcar_production_pxe.vmlinuz.DIGESTS").write_text(
        f"# SHA512 HASH\n{digest}  flatcar_production_pxe.vmlinuz\n"
    )
    return folder


def run(*arguments):
    out = io.StringIO()
    call_command("assets", *map(str, arguments), stdout=out)
    return out.getvalue()


def run_json(*arguments):
    return json.loads(run(*arguments, "--json"))


def refused(*arguments):
    with pytest.raises(CommandError) as told:
        run(*arguments)
    return str(told.value)


def files(root):
    found = (file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
    return sorted(set(found) - {MANIFEST, LOCK})


class TestAdd:
    def test_it_copies_the_file_and_writes_down_what_it_is(self, root, source):
        told = run_json("add", source, "--path", "lab/1.2.3/vmlinuz")
        (asset,) = told["assets"]
        assert (root / "lab/1.2.3/vmlinuz").read_bytes() == b"a kernel"
        assert asset["sha512"] == hashlib.sha512(b"a kernel").hexdigest()
        assert (asset["kind"], asset["version"], asset["size"]) == ("kernel", "1.2.3", 8)
        assert asset["added_by"].endswith("(command line)")
        assert told["values"] == {"boot_kernel": "lab/1.2.3/vmlinuz"}

    def test_its_kind_and_version_can_be_said(self, root, source):
        run("add", source, "--kind", "agent", "--version", "7")
        (row,) = run_json("list")
        assert (row["kind"], row["version"], row["state"]) == ("agent", "7", "present")

    def test_it_says_which_values_use_it(self, root, source):
        assert "manage.py values set boot_kernel=vmlinuz" in run("add", source)

    def test_the_same_again_changes_nothing(self, root, source):
        before = run_json("add", source, "--kind", "other")["assets"][0]
        at = (root / "vmlinuz").stat().st_mtime_ns
        after = run_json("add", source)["assets"][0]
        assert (before["outcome"], after["outcome"]) == ("added", "unchanged")
        assert {**after, "outcome": ""} == {**before, "outcome": ""}
        assert (root / "vmlinuz").stat().st_mtime_ns == at

    def test_other_content_is_refused_and_replaced_when_asked_for(self, root, source):
        run("add", source)
        source.write_bytes(b"another one")
        assert "--replace" in refused("add", source)
        assert (root / "vmlinuz").read_bytes() == b"a kernel"
        assert run_json("add", source, "--replace")["assets"][0]["outcome"] == "replaced"
        assert (root / "vmlinuz").read_bytes() == b"another one"

    def test_a_file_that_lies_there_already_is_only_written_down(self, root, source):
        root.mkdir()
        shutil.copy(source, root / "vmlinuz")
        at = (root / "vmlinuz").stat().st_ino
        assert run_json("add", root / "vmlinuz")["assets"][0]["outcome"] == "added"
        assert (root / "vmlinuz").stat().st_ino == at

    def test_a_wrong_digest_adds_nothing(self, root, source):
        assert "SHA-512" in refused("add", source, "--sha512", "0" * 128)
        assert "128 hex digits" in refused("add", source, "--sha512", "abc")
        assert files(root) == []
        run("add", source, "--sha512", hashlib.sha512(b"a kernel").hexdigest().upper())

    @pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ".hidden", "a/.x/b"])
    def test_a_path_outside_is_refused(self, root, source, path):
        assert "no path of an asset" in refused("add", source, "--path", path)

    def test_links_that_lead_outside_are_refused(self, root, source, tmp_path):
        (tmp_path / "outside").mkdir()
        root.mkdir()
        (root / "out").symlink_to(tmp_path / "outside")
        assert "leads out of the assets" in refused("add", source, "--path", "out/vmlinuz")
        (root / "file").symlink_to(tmp_path / "elsewhere")
        assert "no plain file" in refused("add", source, "--path", "file")
        assert list((tmp_path / "outside").iterdir()) == []

    def test_a_link_inside_is_followed(self, root, source):
        (root / "4230.2.3").mkdir(parents=True)
        (root / "current").symlink_to("4230.2.3")
        assert run_json("add", source, "--path", "current/")["assets"][0]["path"] == (
            "4230.2.3/vmlinuz"
        )

    def test_it_can_be_linked_instead_of_copied(self, root, source):
        for outcome in ("added", "unchanged"):
            told = run_json("add", source, "--link")["assets"][0]
            assert (told["outcome"], told["size"]) == (outcome, 8)
            assert (root / "vmlinuz").samefile(source)
            assert files(root) == ["vmlinuz"]

    def test_what_is_no_file_is_refused(self, root, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        assert "no file" in refused("add", tmp_path / "pipe")
        assert "no file" in refused("add", tmp_path / "nothing")

    def test_a_manifest_that_cannot_be_read_is_left_alone(self, root, source):
        run("add", source)
        (root / MANIFEST).write_text("{")
        assert "cannot be read" in refused("add", source, "--path", "b")
        assert (root / MANIFEST).read_text() == "{"
        assert files(root) == ["vmlinuz"]


class TestSignatures:
    def test_one_beside_the_file_is_checked_and_comes_along(self, root, release):
        told = run_json(
            "add", release / "flatcar_production_pxe.vmlinuz", "--keyring", DATA / "keys.asc"
        )
        signature, kernel = told["assets"]
        assert signature["path"] == "flatcar_production_pxe.vmlinuz.sig"
        assert kernel["signature"]["state"] == "verified"
        assert kernel["signature"]["file"] == signature["path"]
        assert run_json("verify", kernel["path"], "--keyring", DATA / "keys.gpg")["read"] == 1

    def test_without_a_keyring_it_is_unverified(self, root, release):
        run("add", release / "flatcar_production_pxe.vmlinuz")
        states = [(row.get("signature") or {}).get("state") for row in run_json("list")]
        assert states == ["unverified", None]

    def test_what_was_verified_once_stays_so(self, root, release):
        kernel = release / "flatcar_production_pxe.vmlinuz"
        run("add", kernel, "--keyring", DATA / "keys.gpg")
        assert run_json("add", kernel)["assets"][1]["signature"]["state"] == "verified"

    @pytest.mark.parametrize("signature", ["revoked.sig", "stranger.sig"])
    def test_a_bad_one_adds_nothing(self, root, source, signature):
        shutil.copy(DATA / "vmlinuz", source)
        arguments = ("--signature", DATA / signature, "--keyring", DATA / "keys.gpg")
        assert "nothing was added" in refused("add", source, *arguments)
        assert files(root) == []

    def test_a_keyring_asks_for_a_signature(self, root, source):
        assert "no signature" in refused("add", source, "--keyring", DATA / "keys.gpg")

    def test_a_key_that_was_revoked_later_is_found(self, root, source):
        shutil.copy(DATA / "vmlinuz", source)
        run("add", source, "--signature", DATA / "revoked.sig")
        out = io.StringIO()
        with pytest.raises(CommandError):
            call_command("assets", "verify", "--keyring", str(DATA / "keys.gpg"), stdout=out)
        assert "bad signature: vmlinuz: the key that signed it was revoked" in out.getvalue()


class TestRelease:
    def test_a_folder_goes_below_its_version(self, root, release):
        told = run_json("add", release, "--keyring", DATA / "keys.gpg")
        assert files(root) == [
            "4230.2.3/flatcar_production_pxe.vmlinuz",
            "4230.2.3/flatcar_production_pxe.vmlinuz.DIGESTS",
            "4230.2.3/flatcar_production_pxe.vmlinuz.sig",
            "4230.2.3/version.txt",
        ]
        assert told["values"] == {"boot_kernel": "4230.2.3/flatcar_production_pxe.vmlinuz"}
        assert {asset["version"] for asset in told["assets"]} == {"4230.2.3"}

    def test_one_bad_file_keeps_all_of_them_out(self, root, release):
        digests = release / "flatcar_production_pxe.vmlinuz.DIGESTS"
        digests.write_text(f"{'0' * 128}  flatcar_production_pxe.vmlinuz\n")
        assert "that in flatcar_production_pxe.vmlinuz.DIGESTS" in refused("add", release)
        assert files(root) == []

    def test_an_image_without_a_signature_is_refused_with_a_keyring(self, root, release):
        (release / "flatcar_production_image.bin.bz2").write_bytes(b"x")
        assert "no signature" in refused("add", release, "--keyring", DATA / "keys.gpg")
        assert files(root) == []

    def test_a_link_out_of_the_folder_is_refused(self, root, release, source):
        (release / "leak").symlink_to(source)
        assert "leads out" in refused("add", release)

    def test_options_about_one_file_are_refused(self, root, release):
        assert "--sha512" in refused("add", release, "--sha512", "0" * 128)

    def test_an_empty_folder_is_refused(self, root, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "no files" in refused("add", tmp_path / "empty")


class TestVerify:
    @pytest.fixture
    def used(self, root, source, cluster_values):
        for path in ("k", "i", "r/image.img"):
            run("add", source, "--path", path)
        cluster_values(boot_kernel="k", boot_initrd="i", install_version="r")
        return root

    @pytest.fixture
    def cluster_values(self, cluster, root, settings):
        settings.ASSETS_PATH = root

        def change(**values):
            set_values(cluster=cluster, changes=values, actor="test")

        return change

    def findings(self, *arguments):
        out = io.StringIO()
        with pytest.raises(CommandError):
            call_command("assets", "verify", *arguments, stdout=out)
        return [": ".join(line.split(": ")[:2]) for line in out.getvalue().splitlines()]

    def test_files_as_they_were_added_are_good(self, used):
        assert run("verify") == "3 files read, all as they were added\n"

    def test_what_is_gone_changed_or_unknown_is_told(self, used):
        (used / "k").write_bytes(b"A kernel")
        (used / "i").unlink()
        (used / "planted").write_bytes(b"x")
        assert self.findings() == [
            "missing: i",
            "changed: k",
            "unknown: planted",
            "not there: i",
        ]
        assert self.findings("k") == ["changed: k"]
        assert [(row["path"], row["state"]) for row in run_json("list")] == [
            ("i", "missing"),
            ("k", "present"),
            ("planted", "unknown"),
            ("r/image.img", "present"),
        ]

    def test_values_that_name_what_is_not_there_are_told(self, used, cluster_values):
        cluster_values(boot_kernel="nothing", install_version="empty")
        assert self.findings() == ["not there: nothing", "not there: empty"]
        assert [use.by for use in missing_uses()] == ["boot_kernel", "install_version"]

    def test_a_digest_value_that_is_not_the_agents_is_told(self, used, source, cluster_values):
        run("add", source, "--path", "a.tgz", "--kind", "agent")
        cluster_values(agent_url=f"{API}/assets/a.tgz", agent_sha512="0" * 128)
        assert self.findings() == ["other digest: a.tgz"]

    def test_a_profile_that_machines_are_held_at_counts(self, used, cluster):
        version = ProfileVersion.objects.create(
            cluster=cluster, profile="discovery", boot={"kernel": f"{API}/assets/old"}
        )
        assert missing_uses() == []
        ProfileInForce.objects.create(cluster=cluster, profile="discovery", version=version)
        assert [str(use) for use in missing_uses()] == ["default: profile discovery"]

    def test_links_in_the_folder_are_followed(self, used, cluster_values):
        (used / "current").symlink_to("r")
        cluster_values(install_version="current")
        assert missing_uses() == []
        rows = {row["path"]: row["used_by"] for row in run_json("list")}
        assert rows["r/image.img"] == ["default: install_version"]

    def test_current_leads_to_the_version_that_its_text_names(self, used, source, cluster_values):
        cluster_values(install_version="current")
        source.write_text("FLATCAR_VERSION=4230.2.3\n")
        run("add", source, "--path", "current/version.txt")
        assert [use.by for use in missing_uses()] == ["install_version"]
        run("add", source, "--path", "4230.2.3/flatcar_production_image.bin.bz2")
        assert missing_uses() == []
        for path in ("current/version.txt", "4230.2.3/flatcar_production_image.bin.bz2"):
            assert "default: install_version" in refused("remove", path)


class TestRemove:
    def test_what_is_in_use_stays_unless_forced(self, cluster, root, source, settings):
        settings.ASSETS_PATH = root
        run("add", source, "--path", "a/k")
        set_values(cluster=cluster, changes={"boot_kernel": "a/k"}, actor="test")
        assert "default: boot_kernel" in refused("remove", "a/k")
        assert files(root) == ["a/k"]
        run("remove", "a/k", "--force")
        assert (files(root), run_json("list")) == ([], [])
        assert not (root / "a").exists()

    def test_the_signature_goes_with_it(self, root, release):
        run("add", release / "flatcar_production_pxe.vmlinuz", "--path", "x/v")
        assert files(root) == ["x/v", "x/v.sig"]
        assert run_json("remove", "x/v")["removed"]["path"] == "x/v"
        assert files(root) == []

    def test_what_is_not_there_is_told(self, root):
        assert "there is no asset" in refused("remove", "x")

    def test_one_that_is_gone_already_leaves_the_manifest(self, root, source):
        run("add", source)
        (root / "vmlinuz").unlink()
        run("remove", "vmlinuz")
        assert run_json("list") == []


class TestWriters:
    def test_a_writer_that_is_killed_leaves_nothing_that_is_served(
        self, root, source, tmp_path, client
    ):
        pipe = tmp_path / "pipe"  # nobody ever writes its end: the writer waits in the middle
        os.mkfifo(pipe)
        code = (
            "import sys; from pathlib import Path;"
            "from matchbox_sync.assets.folder import AssetFolder;"
            "AssetFolder(Path(sys.argv[1])).stage(Path(sys.argv[2]), 'big')"
        )
        writer = subprocess.Popen([sys.executable, "-c", code, str(root), str(pipe)])
        with pipe.open("r+b", buffering=0) as held:
            try:
                held.write(b"half of it")
                wait_until(lambda: list(root.glob(".big.*.part")), seconds=120, what="it writes")
                with AssetFolder(root).locked():
                    pass  # by now its file is locked as well
                run("add", source)  # leaves alone what somebody is writing
                assert list(root.glob(".big.*.part"))
                assert client.get("/assets").json() == ["vmlinuz"]
            finally:
                writer.kill()
                writer.wait(60)
        run("add", source)
        assert list(root.glob(".*.part")) == []

    def test_many_at_once_lose_nothing(self, root, source, tmp_path):
        def add(number):
            folder = AssetFolder(root)
            file = tmp_path / f"f{number}"
            file.write_bytes(bytes([number]))
            staged = folder.stage(file, f"d/{number}")
            with folder.locked():
                folder.replace_with(staged)
                known = folder.read()
                template = next(iter(known.values()))
                known[staged.path] = type(template)(**{**_fields(template), "path": staged.path})
                folder.write(known)
            staged.discard()

        run("add", source, "--path", "first")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(40)))
        assert len(AssetFolder(root).read()) == 41
        assert len(files(root)) == 41


def _fields(asset):
    return {name: getattr(asset, name) for name in type(asset).__dataclass_fields__}


def test_the_manifest_and_unfinished_files_are_not_served(root, source, client):
    run("add", source)
    (root / ".x.part").write_bytes(b"half")
    (root / ".secret").mkdir()
    (root / ".secret" / "x").write_bytes(b"x")
    (root / "alias").symlink_to(MANIFEST)
    assert client.get("/assets").json() == ["vmlinuz"]
    for path in (MANIFEST, LOCK, ".x.part", ".secret/x", "alias", "%2e" + MANIFEST[1:]):
        assert client.get(f"/assets/{path}").status_code == 404


class TestConsole:
    def test_the_page_lists_assets_and_what_is_missing(self, root, source, cluster, admin_client):
        run("add", source, "--path", "x/1.2.3/vmlinuz")
        text = admin_client.get("/admin/matchbox_sync/profileversion/assets/").content.decode()
        assert "x/1.2.3/vmlinuz" in text
        assert "Used and not there: flatcar_production_pxe.vmlinuz: default: boot_kernel" in text

    def test_a_manifest_that_cannot_be_read_is_told(self, root, admin_client):
        root.mkdir()
        (root / MANIFEST).write_text("{")
        answer = admin_client.get("/admin/matchbox_sync/profileversion/assets/")
        assert "cannot be read" in answer.content.decode()
        assert "cannot be read" in admin_client.get("/admin/").content.decode()

    def test_only_who_may_see_profiles_sees_it(self, client, django_user_model):
        client.force_login(django_user_model.objects.create_user("guest", is_staff=True))
        assert client.get("/admin/matchbox_sync/profileversion/assets/").status_code == 403

    def test_the_first_page_warns_of_what_is_used_and_missing(self, root, source, admin_client):
        text = admin_client.get("/admin/").content.decode()
        assert "Used and not in the assets: flatcar_production_pxe.vmlinuz" in text
        for path in ("flatcar_production_pxe.vmlinuz", "flatcar_production_pxe_image.cpio.gz"):
            run("add", source, "--path", path)
        run("add", source, "--path", "current/image.img")
        assert "Used and not in" not in admin_client.get("/admin/").content.decode()
