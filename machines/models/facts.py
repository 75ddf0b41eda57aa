"""What machines reported."""

from __future__ import annotations

from django.db import models

from enjoliver.common.addresses import MACAddressField
from machines.states import State


class Machine(models.Model):
    """One machine: an SMBIOS UUID plus the MACs of its interfaces.

    `discriminator` is empty for the first machine with a UUID and the boot MAC for further ones
    (vendors ship duplicate UUIDs), so that the pair is unique and both machines are kept.
    """

    uuid = models.CharField(max_length=36)
    discriminator = models.CharField(max_length=24, blank=True, default="")
    boot_mac = MACAddressField(db_index=True)
    state = models.CharField(max_length=32, choices=State.choices, default=State.DISCOVERY)
    state_at = models.DateTimeField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(help_text="Last discovery report.")
    installed_at = models.DateTimeField(
        null=True, blank=True, help_text="Set by an install report that counts."
    )
    reinstall_requested_at = models.DateTimeField(null=True, blank=True)
    serial = models.CharField(max_length=128, blank=True, default="")
    product = models.CharField(max_length=128, blank=True, default="")
    cpu_count = models.PositiveIntegerField(null=True, blank=True)
    memory_bytes = models.BigIntegerField(null=True, blank=True)
    boot_id = models.CharField(max_length=64, blank=True, default="")
    labels = models.JSONField(
        default=dict, blank=True, help_text='Set by operators: {"rack": "3"}; text to text.'
    )
    facts = models.JSONField(
        default=dict, blank=True, help_text="The last report as sent, without the journal."
    )
    facts_digest = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["uuid", "discriminator"], name="machine_identity"),
        ]
        indexes = [
            models.Index(fields=["state", "state_at"], name="machine_state"),
            models.Index(fields=["created_at"], name="machine_created"),
            # Few, and looked for each time that a machine asks whether it may change.
            models.Index(
                fields=["reinstall_requested_at"],
                condition=models.Q(reinstall_requested_at__isnull=False),
                name="machine_reinstalls",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.boot_mac} ({self.uuid})"


class Interface(models.Model):
    """A network interface with a MAC. A bond and its members share one, so names are unique."""

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="interfaces")
    name = models.CharField(max_length=64)
    mac = MACAddressField()
    ipv4 = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)
    cidrv4 = models.CharField(max_length=18, blank=True, default="")
    netmask = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Prefix length.")
    gateway = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)
    fqdn = models.CharField(max_length=253, null=True, blank=True)  # noqa: DJ001 - null is "no name" in the API
    is_boot = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine", "name"], name="interface_name"),
            models.UniqueConstraint(
                fields=["machine"], condition=models.Q(is_boot=True), name="one_boot_interface"
            ),
        ]
        indexes = [
            models.Index(fields=["mac", "machine"], name="interface_mac"),
            # Two boot interfaces with one address are a conflict: looked up at each discovery.
            models.Index(
                fields=["ipv4", "machine"], condition=models.Q(is_boot=True), name="boot_address"
            ),
        ]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.name} {self.mac}"


class Disk(models.Model):
    """A block device that the machine reported."""

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="disks")
    path = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    model = models.CharField(max_length=128, blank=True, default="")
    serial = models.CharField(max_length=128, blank=True, default="")
    is_rotational = models.BooleanField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine", "path"], name="disk_path"),
            models.CheckConstraint(condition=models.Q(size_bytes__gte=0), name="disk_size"),
        ]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.path} {self.size_bytes >> 30} GiB"


class Chassis(models.Model):
    """The switch side of a link, as LLDP names it (IEEE 802.1AB chassis id)."""

    chassis_id = models.CharField(max_length=128, unique=True)
    name = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        verbose_name_plural = "chassis"

    def __str__(self) -> str:
        return self.name or self.chassis_id


class ChassisPort(models.Model):
    """The switch port that an interface is plugged into."""

    interface = models.OneToOneField(Interface, models.CASCADE, related_name="chassis_port")
    chassis = models.ForeignKey(Chassis, models.PROTECT, related_name="ports")
    port_id = models.CharField(max_length=128)

    def __str__(self) -> str:
        return f"{self.chassis} {self.port_id}"


class BootJournal(models.Model):
    """Ignition's journal of one boot, compressed; the newest few per machine are kept."""

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="journals")
    boot_id = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    line_count = models.PositiveIntegerField()
    lines_zstd = models.BinaryField()
    digest = models.CharField(
        max_length=64, help_text="Of the lines: the same journal is not written twice."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine", "boot_id"], name="journal_of_one_boot"),
        ]
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"boot {self.boot_id}"


class StateChange(models.Model):
    """One move of one machine, with who caused it and why. Append-only, pruned by age."""

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="state_changes")
    from_state = models.CharField(max_length=32, blank=True, default="")
    to_state = models.CharField(max_length=32, choices=State.choices)
    reason = models.CharField(max_length=200, blank=True, default="")
    by = models.CharField(max_length=150, blank=True, default="machine")
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["machine", "-at"], name="state_change_of_machine")]
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.from_state or '-'} to {self.to_state}"


class UnknownBoot(models.Model):
    """A MAC that asked to boot and belongs to no machine; a bounded table, the oldest go first."""

    mac = MACAddressField(unique=True)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)
    count = models.PositiveBigIntegerField(default=1)

    class Meta:
        ordering = ["-last_at"]

    def __str__(self) -> str:
        return self.mac


class ConflictKind(models.TextChoices):
    """What contradicts what."""

    DUPLICATE_UUID = "duplicate_uuid", "one UUID from two machines"
    SHARED_MAC = "shared_mac", "one MAC at two machines"
    SHARED_ADDRESS = "shared_address", "one boot address at two machines"
    CHANGED_ADDRESS = "changed_address", "reported address differs from the pinned one"
    QUERY_MISMATCH = (
        "query_mismatch",
        "a query named the UUID of one machine and the MAC of another",
    )


class MachineConflict(models.Model):
    """A contradiction that an operator should see; closed by itself when the facts agree again."""

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="conflicts")
    kind = models.CharField(max_length=32, choices=ConflictKind.choices)
    subject = models.CharField(max_length=64, help_text="The UUID, MAC or address concerned.")
    detail = models.CharField(max_length=300)
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When it was last noticed; throttles its events.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine", "kind", "subject"], name="one_conflict_row"),
        ]
        indexes = [models.Index(fields=["kind", "subject"], name="conflict_subject")]
        ordering = ["-opened_at"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"


class EventLevel(models.TextChoices):
    """How much an event wants to be seen."""

    INFO = "info", "info"
    WARNING = "warning", "warning"
    ERROR = "error", "error"


class Event(models.Model):
    """One line of the timeline: of a machine, or of the engine when `machine` is empty."""

    machine = models.ForeignKey(
        Machine, models.CASCADE, related_name="events", null=True, blank=True
    )
    kind = models.CharField(max_length=48)
    level = models.CharField(max_length=8, choices=EventLevel.choices, default=EventLevel.INFO)
    message = models.CharField(max_length=500)
    actor = models.CharField(max_length=150, blank=True, default="")
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["machine", "-at"], name="event_of_machine")]
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
