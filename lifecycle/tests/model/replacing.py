"""Rules of the model: members of the control plane are replaced, well or badly."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from lifecycle.services import end_maintenance, start_maintenance
from lifecycle.tests.model.spares import answered
from lifecycle.tests.model.telling import Telling

PICK = st.integers(0, 11)
OFTEN = st.sampled_from([True, True, True, False])


class Replacing(Telling):
    """On a site without free machines nothing of it happens."""

    @precondition(lambda self: self.site.free)
    @rule(pick=PICK, other=PICK, is_best=OFTEN)
    def a_member_is_replaced(self, pick, other, is_best):
        spare = None if is_best else self.one(other, self.site.machines)
        self.replace(pick, spare)

    @precondition(lambda self: self.site.new)
    @rule(pick=PICK, success=OFTEN, comes_up=OFTEN)
    def the_new_member_installs_itself(self, pick, success, comes_up):
        self.site.install_new(self.one(pick, self.site.newcomers), success, comes_up)

    @precondition(lambda self: self.site.is_replacing())
    @rule(pick=PICK, is_best=OFTEN)
    def another_spare_is_chosen(self, pick, is_best):
        spare = None if is_best else self.one(pick, self.site.machines)
        self.site.choose_again(self.site.replacement(), spare)

    @precondition(lambda self: self.site.is_replacing())
    @rule()
    def a_replacement_is_cancelled(self):
        self.site.cancel(self.site.replacement())

    @precondition(lambda self: self.site.spares())
    @rule(pick=PICK, is_over=st.booleans())
    def somebody_works_on_a_spare(self, pick, is_over):
        spare = self.one(pick, self.site.spares())
        if is_over:
            end_maintenance(machine=spare, actor="ada")
        else:
            answered(start_maintenance, machine=spare, actor="ada", reason="fans")
