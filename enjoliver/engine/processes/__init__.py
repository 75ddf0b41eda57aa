"""The engine's local processes: checked, started under one supervisor, restarted, all stopped.

`start_engine` is the one way to start them, for `manage.py run` and `manage.py demo` alike.
"""

from enjoliver.engine.processes.engine import Engine, start_engine
from enjoliver.engine.processes.errors import CannotStart
from enjoliver.engine.processes.interrupts import stop_signals_interrupt
from enjoliver.engine.processes.runfile import request_stop

__all__ = ["CannotStart", "Engine", "request_stop", "start_engine", "stop_signals_interrupt"]
