"""The iPXE interpreter: boot scripts as engine and matchbox write them, and hostile ones."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.ipxe import BootDisk, BootKernel, CommandFailed, Interpreter, NextDevice, expand

SETTINGS = {"uuid": "u-1", "mac": "52:54:00:00:00:0A", "serial": "S 1", "hostname": "r0-srv1"}


class Network:
    """Scripts by URL; images listed in `missing` are not there."""

    def __init__(self, scripts=(), missing=()):
        self.scripts, self.missing = dict(scripts), missing
        self.asked, self.slept = [], 0.0

    async def load_script(self, url):
        self.asked.append(url)
        if url not in self.scripts:
            raise CommandFailed(f"{url}: 404")
        return self.scripts[url]

    async def load_image(self, url):
        self.asked.append(url)
        if url in self.missing:
            raise CommandFailed(f"{url}: 404")

    async def pause(self, seconds):
        self.slept += seconds


def run(script, network=None, url="http://engine/boot.ipxe"):
    interpreter = Interpreter(network or Network(), dict(SETTINGS))
    return asyncio.run(interpreter.run("#!ipxe\n" + script, url))


def test_the_engines_boot_script_chains_with_the_machines_own_values():
    asked = "http://engine/ipxe?uuid=u-1&mac=52-54-00-00-00-0A&serial=S"
    network = Network({asked: "#!ipxe\nkernel /assets/vmlinuz a=1 ignition.config.url=x\nboot\n"})
    outcome = run(
        ":retry_dhcp\ndhcp || goto retry_dhcp\n"
        "chain http://engine/ipxe?uuid=${uuid}&mac=${net0/mac:hexhyp}&serial=${serial}\n",
        network,
    )
    assert outcome == BootKernel(
        "http://engine/assets/vmlinuz", ("a=1", "ignition.config.url=x"), ()
    )
    assert outcome.argument("ignition.config.url") == "x"
    assert outcome.argument("nothing") == ""


def test_initrds_are_kept_in_order_with_their_options():
    outcome = run("kernel k initrd=one\ninitrd --name one /a\ninitrd /b\nboot || exit\n")
    assert outcome.initrds == ("http://engine/a", "http://engine/b")


def test_sanboot_boots_the_local_drive():
    assert run("sanboot --no-describe --drive 0x81 || exit 1\n") == BootDisk("0x81")
    assert run("sanboot\n") == BootDisk("0x80")


def test_a_failed_chain_goes_on_after_the_bars_and_ends_the_script_without_them():
    assert isinstance(run("chain /gone || sanboot\n"), BootDisk)
    assert isinstance(run("chain /gone\nsanboot\n"), NextDevice)


def test_and_runs_only_after_success():
    assert isinstance(run("isset ${uuid} && sanboot || exit\n"), BootDisk)
    assert isinstance(run("isset ${nothing} && sanboot || exit\n"), NextDevice)


def test_a_script_that_exits_returns_to_the_one_that_chained_it():
    network = Network({"http://engine/inner": "#!ipxe\nexit\n"})
    assert isinstance(run("chain inner\nsanboot\n", network), BootDisk)
    network = Network({"http://engine/inner": "#!ipxe\nexit 1\n"})
    assert isinstance(run("chain inner\nsanboot\n", network), NextDevice)


def test_a_missing_kernel_fails_its_line():
    outcome = run("kernel /gone\nboot\n", Network(missing=["http://engine/gone"]))
    assert isinstance(outcome, NextDevice)


def test_settings_can_be_set_compared_and_nested():
    script = "set nic net0\niseq ${${nic}/mac} 52:54:00:00:00:0A && sanboot || exit\n"
    assert isinstance(run(script), BootDisk)


def test_sleeping_passes_time():
    network = Network()
    run("sleep 5\n", network)
    assert network.slept == 5


def test_joined_lines_and_comments_are_read_as_ipxe_does():
    assert isinstance(run("# a comment\nsanboot \\\n --drive 0x80\n"), BootDisk)


@pytest.mark.parametrize(
    "script",
    [
        ":again\ngoto again\n",
        "goto nowhere\n",
        "unknown-command\n",
        "boot\n",
        "chain\n",
        "kernel\n",
        "sleep\n",
        "sleep soon\n",
        "chain http://[/\n",
        "set a ${${${${a}}}}\ngoto ${a}\n",
    ],
)
def test_a_broken_script_ends_at_the_next_boot_device(script):
    assert isinstance(run(script), NextDevice)


def test_a_chain_of_itself_ends():
    network = Network({"http://engine/me": "#!ipxe\nchain /me\n"})
    assert isinstance(run("chain /me\n", network), NextDevice)


def test_an_html_page_is_no_script():
    network = Network({"http://engine/x": "<html>"})
    assert isinstance(run("chain /x\n", network), NextDevice)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${mac:hexhyp}", "52-54-00-00-00-0A"),
        ("${netX/mac:hexraw}", "52540000000A"),
        ("${serial:uristring}", "S%201"),
        ("${unset}x", "x"),
        ("no variable", "no variable"),
        ("${", "${"),
    ],
)
def test_expansion(text, expected):
    assert expand(text, SETTINGS) == expected


@given(st.text(alphabet="${}a/:|&\\\n #chainexitgotobosl ", max_size=200))
def test_no_text_crashes_the_interpreter(text):
    assert run(text) is not None
