#!/bin/sh
# Prints the path of the Python to use: 3.13, the version on Lambda, if this machine has it, else 3.11 or later.
for python in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python3.13 python3.12 python3.11 python3; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
done
echo "No Python 3.11 or later with the venv module was found (on Debian: apt install python3 python3-venv)." >&2
exit 1
