"""The part of the model's site that exchanges members of its control plane for free machines."""

from datetime import timedelta

from enjoliver.common.errors import EngineError
from lifecycle.models import Replacement
from lifecycle.services import (
    ask_to_install,
    cancel_replacement,
    choose_again,
    report_install,
    start_replacement,
)
from lifecycle.tests.factories import query_of
from lifecycle.tests.rollouts.world import World
from machines.models import Machine
from matchbox_sync.models import DesiredConfig, Revision
from scheduling.models import Assignment, Waiting
from scheduling.roles import WaitCode
from scheduling.tests.factories import make_machine

SOURCE = "10.64.0.11"
NO_SPARE = ("no machine is free", "none of the ")


def answered(call, *args, **options):
    """Call a service; what it returned, or None when the engine refused."""
    try:
        return call(*args, **options)
    except EngineError:
        return None


class WithSpares(World):
    """`free`: machines that began without a role; `retired`: those without one now; `new`: members
    that have a place and never ran; `slots`: see `Site`."""

    free: list[Machine]
    down: set[int]
    slots: dict[tuple[str, str], int]
    retired: set[int] = set()
    new: set[int] = set()

    def __init__(self, workers=0, plane=0, racks=4, spares=0):
        self.free = []
        super().__init__(workers=workers, plane=plane, racks=racks)
        first = len(self.machines) + 1
        self.free = [self._spare(n, n % racks) for n in range(first, first + spares)]
        self.machines = [*self.machines, *self.free]
        self.retired = {machine.pk for machine in self.free}

    def _spare(self, number, rack):
        fqdn = f"r{rack}-srv{number}.dc1.example.test"
        return make_machine(number, fqdn=fqdn, labels={"rack": str(rack)})

    @property
    def members(self):
        """Machines that have a role, and ran with it."""
        without = self.retired | self.new
        return [machine for machine in self.machines if machine.pk not in without]

    @property
    def newcomers(self):
        """Machines that have a place, and did not install themselves yet."""
        return [machine for machine in self.machines if machine.pk in self.new]

    def new_revision(self, values=None, machines=None, content=None):
        return super().new_revision(values, [*self.members, *self.newcomers], content)

    def spares(self):
        """Machines that may get a place."""
        kept = set(Waiting.objects.order_by().values_list("machine_id", flat=True))
        return [one for one in self.machines if one.pk in self.retired - kept]

    def replacement(self):
        """The newest one, if any."""
        return Replacement.objects.order_by("-pk").first()

    def is_replacing(self):
        """Whether a replacement runs."""
        return bool(self.free) and Replacement.objects.filter(state="running").exists()

    # --- what machines do -----------------------------------------------------------------------

    def install_only(self, machine, success=True):
        """It installs itself and says how that went; False when it may not."""
        # A request is dated by the real clock; here it was made before the machine asks.
        asked = Machine.objects.filter(pk=machine.pk, reinstall_requested_at__gt=self.now)
        asked.update(reinstall_requested_at=self.now - timedelta(seconds=1))
        machine.refresh_from_db()
        granted = answered(
            ask_to_install,
            machine=machine,
            raw_query=query_of(machine),
            source=SOURCE,
            now=self.now,
        )
        if granted is None or not hasattr(granted, "attempt_id"):
            return False
        report_install(
            machine=machine,
            success=success,
            attempt_id=granted.attempt_id,
            source=SOURCE,
            now=self.now,
        )
        machine.refresh_from_db()
        return True

    def install_new(self, machine, success=True, comes_up=True):
        """A new member installs itself; then it runs, or is not heard of."""
        if not self.install_only(machine, success) or not success:
            return
        self.new.discard(machine.pk)
        self.apply(machine)
        if comes_up:
            self.report(machine)
        else:
            self.down.add(machine.pk)

    # --- what operators do ----------------------------------------------------------------------

    def replace(self, machine, spare=None):
        """Begin to replace a member; None when the engine refuses."""
        who = {"machine": machine, "spare": spare, "actor": "ada", "reason": "dead board"}
        row = answered(start_replacement, now=self.now, **who)
        self.follow_roles()
        return row

    def choose_again(self, row, spare=None):
        """Take another spare."""
        answered(choose_again, replacement=row, spare=spare, actor="ada", now=self.now)
        self.follow_roles()

    def cancel(self, row):
        """Stop a replacement."""
        answered(cancel_replacement, replacement=row, actor="ada", reason="by hand")

    def go_on_replacing(self):
        """The new member installs itself; where no machine is free, the operator gives up."""
        for machine in self.newcomers:
            self.install_new(machine)
        row = self.replacement()
        if row and row.state == "running" and row.waits_for.startswith(NO_SPARE):
            self.cancel(row)

    # --- what a sync does -----------------------------------------------------------------------

    def follow_roles(self):
        """Who has a place now gets its config; who has none is forgotten."""
        held = set(Assignment.objects.order_by().values_list("machine_id", flat=True))
        for machine in self.machines:
            if machine.pk in held and machine.pk in self.retired:
                self.retired.discard(machine.pk)
                self.new.add(machine.pk)
                newest = Revision.objects.filter(cluster=self.cluster).latest("number")
                self._configure(Machine.objects.get(pk=machine.pk), newest)
            elif machine.pk not in held and machine.pk not in self.retired:
                self.retired.add(machine.pk)
                self.new.discard(machine.pk)
                DesiredConfig.objects.filter(pk=machine.pk).delete()
        gone = Waiting.objects.filter(code=WaitCode.RETIRED).order_by()
        for machine_id in gone.values_list("machine_id", flat=True):
            self.forget_slots_of(machine_id)

    def forget_slots_of(self, machine_id):
        """It is out of service: its slots went with it."""
        self.slots = {key: pk for key, pk in self.slots.items() if pk != machine_id}
