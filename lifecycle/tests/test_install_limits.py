"""The install gate for each site, rack and asset server."""

from datetime import timedelta

import pytest

from enjoliver.common.errors import InvalidInput
from lifecycle.models import InstallAttempt, InstallLimit, InstallOutcome, InstallWaiter
from lifecycle.services import (
    Denied,
    Granted,
    ask_to_install,
    read_standing,
    remove_limit,
    set_limit,
)
from lifecycle.tests.factories import NOON, query_of
from lifecycle.tests.races import all_at_once
from machines.models import Event, Machine
from machines.services import set_labels
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def settings_of_the_gate(settings):
    settings.INSTALL_CONCURRENCY = 10
    settings.INSTALL_DEADLINE_SECONDS = 1800
    settings.INSTALL_QUEUE_SECONDS = 60


def limit(scope, concurrency, name=""):
    return set_limit(scope=scope, name=name, concurrency=concurrency, actor="ada")


def in_rack(rack, count, site="dc1"):
    return [
        MachineFactory.create(labels={"rack": rack, "site": site}, boot_interface__fqdn="")
        for _ in range(count)
    ]


def ask(machine, at=0):
    machine = Machine.objects.get(pk=machine.pk)
    return ask_to_install(
        machine=machine, raw_query=query_of(machine), source="10.0.0.1", now=NOON + at * SECOND
    )


def granted(machines, at=0):
    return [isinstance(ask(machine, at), Granted) for machine in machines]


def test_each_rack_has_its_own_places_and_its_own_queue():
    limit("rack", 1)
    first, second = in_rack("1", 3), in_rack("2", 2)
    assert granted(first) == [True, False, False]
    assert granted(second) == [True, False]
    answer = ask(first[2], at=1)
    assert answer == Denied(query_of(first[0]), 2, 5, queue="site:dc1/rack:1")
    assert ask(second[1], at=1).place == 1


def test_one_rack_may_have_a_limit_of_its_own():
    limit("rack", 1)
    limit("rack", 2, name="site:dc1/rack:2")
    assert granted(in_rack("1", 2)) == [True, False]
    assert granted(in_rack("2", 3)) == [True, True, False]


def test_each_site_has_the_places_of_the_settings_unless_it_has_a_limit(settings):
    settings.INSTALL_CONCURRENCY = 1
    limit("site", 2, name="dc2")
    assert granted(in_rack("1", 2, site="dc1")) == [True, False]
    assert granted(in_rack("1", 3, site="dc2")) == [True, True, False]


def test_an_asset_server_serves_so_many_from_all_racks():
    limit("asset_server", 1, name="mirror-a")
    one, two = in_rack("1", 1)[0], in_rack("2", 1)[0]
    for machine in (one, two):
        labels = machine.labels | {"asset-server": "mirror-a"}
        set_labels(machine=machine, labels=labels, actor="ada")
    assert granted([one]) == [True]
    answer = ask(two)
    assert isinstance(answer, Denied)
    assert answer.queue == "asset server mirror-a"
    assert granted(in_rack("3", 3)) == [True, True, True]


def test_a_full_rack_holds_up_nobody_else_and_loses_no_place_in_the_queue(settings):
    settings.INSTALL_CONCURRENCY = 2
    limit("rack", 1)
    first, second = in_rack("1", 3), in_rack("2", 1)
    assert granted(first) == [True, False, False]
    assert granted(second) == [True]
    InstallAttempt.objects.filter(machine=first[0]).update(outcome=InstallOutcome.SUCCEEDED)
    late = in_rack("3", 1)
    assert granted(late, at=1) == [False]
    assert granted(first[2:], at=1) == [False]
    assert granted(first[1:2], at=1) == [True]


def test_what_a_machine_waits_for_is_kept_from_when_it_asked():
    limit("rack", 0)
    machine = in_rack("1", 1)[0]
    answer = ask(machine)
    assert isinstance(answer, Denied)
    assert answer.queue == "site:dc1/rack:1"
    assert InstallWaiter.objects.get().rack == "site:dc1/rack:1"
    limit("rack", 1)
    assert granted([machine], at=1) == [True]
    assert InstallAttempt.objects.get().rack == "site:dc1/rack:1"


def test_a_limit_of_zero_is_named():
    limit("rack", 0, name="site:dc1/rack:1")
    assert ask(in_rack("1", 1)[0]).locked_by == "the limit of rack site:dc1/rack:1, which is 0"


def test_looking_says_the_same_as_asking_and_queues_nobody():
    limit("rack", 1)
    first, second = in_rack("1", 2)
    ask(first)
    looked = read_standing(machine=second, now=NOON)
    assert isinstance(looked, Denied)
    assert looked == ask(second)
    assert looked.queue == "site:dc1/rack:1"


def test_limits_are_checked_kept_once_and_noted():
    for scope, name, concurrency in (("row", "", 1), ("rack", "a\n", 1), ("rack", "", -1)):
        with pytest.raises(InvalidInput):
            set_limit(scope=scope, name=name, concurrency=concurrency, actor="ada")
    limit("rack", 1)
    limit("rack", 1)
    limit("rack", 2)
    assert InstallLimit.objects.get().concurrency == 2
    assert Event.objects.filter(kind="install_limit").count() == 2
    assert remove_limit(scope="rack", name="", actor="ada")
    assert not remove_limit(scope="rack", name="", actor="ada")


@pytest.mark.django_db(transaction=True)
def test_many_at_once_never_exceed_the_places_of_a_rack_or_the_site(settings):
    settings.INSTALL_CONCURRENCY = 3
    limit("rack", 2)
    machines = in_rack("1", 4) + in_rack("2", 4)
    for _ in range(3):
        all_at_once(ask, machines)
    racks = list(InstallAttempt.objects.values_list("rack", flat=True))
    assert len(racks) == 3
    assert max(racks.count(rack) for rack in racks) == 2


def test_an_ask_costs_the_same_in_a_long_queue_also_with_a_free_place(
    django_assert_max_num_queries,
):
    limit("rack", 1)
    waiting, (holder, asking) = in_rack("1", 20), in_rack("2", 2)
    granted(waiting)
    granted([holder, asking])
    InstallAttempt.objects.filter(machine=holder).update(outcome=InstallOutcome.FAILED)
    machine = Machine.objects.get(pk=asking.pk)
    with django_assert_max_num_queries(17):
        answer = ask_to_install(machine=machine, raw_query="x", source=None, now=NOON + SECOND)
    assert isinstance(answer, Granted)
