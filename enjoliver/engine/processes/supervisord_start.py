"""Run as a script: supervisord that ends with the process that started it.

Not imported as part of the package, so that the supervisor loads neither Django nor Celery.
Arguments: the number of the starting process, then supervisord's own.
"""

import ctypes
import os
import signal
import sys

from supervisor.supervisord import main

PR_SET_PDEATHSIG = 1  # prctl(2)

if __name__ == "__main__":
    starter = int(sys.argv.pop(1))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != starter:
        sys.exit("the process that asked for this engine has ended")
    main()
