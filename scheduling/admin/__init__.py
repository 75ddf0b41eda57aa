"""The operator's pages over intent: clusters, who has which role, and why one has none."""

from machines.admin import MachineAdmin
from scheduling.admin.assignments import AssignmentAdmin, AssignmentInline
from scheduling.admin.clusters import ClusterAdmin
from scheduling.admin.rules import RoleRuleAdmin
from scheduling.admin.waiting import WaitingAdmin, WaitingInline

MachineAdmin.inlines = [AssignmentInline, WaitingInline, *MachineAdmin.inlines]

__all__ = ["AssignmentAdmin", "ClusterAdmin", "RoleRuleAdmin", "WaitingAdmin"]
