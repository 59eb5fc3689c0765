#!/bin/sh
# Prints the path of a Python with a minor version ($1, such as 3.13) on this machine, or nothing. $2 is the path of uv.
for python in .venv/bin/python "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/"python$1" \
        "$(UV_PYTHON_DOWNLOADS=never "$2" python find --no-project "$1" 2>/dev/null)"; do
    if "$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
done
