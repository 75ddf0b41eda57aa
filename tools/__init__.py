"""Tools of set-up, tests and documents. Before set-up there is only Python's own library."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older one is told so
    sys.exit(
        # format, not an f-string: it must be readable for the old one
        "Enjoliver needs Python 3.11 or newer; {} is {}.{}. Install one and name it: "
        "make PYTHON=python3.11 setup".format(sys.executable, *sys.version_info[:2])
    )
