"""``python -m api``: write definition.json, which template.yaml includes, and docs/openapi.json, the contract."""

import json
import sys

from api import contract, definition
from local.template import ROOT


def main() -> int:
    """Write both files and return the exit status."""
    # In this order: the contract is read from the template, which includes the definition.
    for path, document in ((definition.PATH, definition.build), (contract.PATH, contract.contract)):
        path.write_text(json.dumps(document(), indent=2) + "\n", encoding="utf-8")
        print(f"Wrote {path.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
