"""No schedule of events takes more machines down than a policy allows, as the machines see it.

Small among the ordinary tests; `make rollout-proof` runs it with a thousand machines.
"""

import os

import pytest

from simulator.faults import Fault
from simulator.machine import Phase
from simulator.scenario import Scenario
from tests.e2e.engine import running_engine
from tests.e2e.places import environment_of, private_database
from tests.e2e.proof import Proof

pytestmark = pytest.mark.e2e

MACHINES = int(os.environ.get("PROOF_MACHINES", "0"))
IS_LARGE = MACHINES > 100
PLANE_SIZE = 3


@pytest.fixture
def engine(tmp_path):
    """An engine of its own: this test kills it."""
    with private_database() as database:
        environment = environment_of(
            tmp_path,
            database,
            ENJOLIVER_INSTALL_CONCURRENCY="100",
            ENJOLIVER_ROLLOUT_INTERVAL_SECONDS="2",
        )
        with running_engine(environment) as engine:
            engine.set_control_plane(PLANE_SIZE)
            yield engine


def test_a_rollout_with_faults_keeps_its_policy_as_the_machines_see_it(engine):
    count = MACHINES or 40
    few = max(1, count // 200)
    scenario = Scenario(
        url=engine.url,
        machines=count,
        seed=7,
        interval=6.0 if IS_LARGE else 1.0,
        faults={Fault.SILENT_UPDATE: few, Fault.LIES: few, Fault.FLAPS: 2 * few},
    )
    proof = Proof(
        engine,
        scenario,
        most="5%" if IS_LARGE else "10%",
        per_domain=3 if IS_LARGE else 2,
        plane_size=PLANE_SIZE,
        patience=900,
    )
    fleet = proof.run()
    audit = fleet.world.audit
    assert not audit.count, audit.violations
    good = [one for one in fleet.machines if not one.faults & {Fault.SILENT_UPDATE, Fault.LIES}]
    behind = [one.name for one in good if not one.is_up_to_date]
    assert not behind, (behind[:10], proof.pauses, engine.read("/api/v1/rollouts")["items"])
    assert proof.kills == 2
    assert audit.most_down["workers"] >= 2, "the limit was never made use of"
    assert audit.most_down["plane"] == 1
    assert any("did not come back" in reason for reason in proof.pauses), proof.pauses
    assert sum(one.phase is Phase.SILENT for one in fleet.machines) == few
    print(f"{count} machines, {audit.most_down} at once, {proof.seconds} s, {proof.pauses}")
