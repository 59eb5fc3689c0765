"""Remove a safeguard of the pipeline from the built functions of a soak, to show that the soak detects it.

Production code has no switch for this. Lines at the end of a module of the artefact replace the safeguard with code
that does not protect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Alteration:
    """Lines that remove a safeguard, and the module of the artefact to which they are added."""

    module: str
    lines: str


SAFEGUARDS = {
    # Writes and deletes are unconditional.
    "conditions": _Alteration(
        "ResizeFunction/functions/resize/storage.py",
        """
_initialise = Storage.__init__


def _without_conditions(call):
    return lambda **arguments: call(**{name: arguments[name] for name in arguments if not name.startswith("If")})


def _initialise_without_conditions(self, client, *more):
    client.put_object = _without_conditions(client.put_object)
    client.delete_object = _without_conditions(client.delete_object)
    _initialise(self, client, *more)


Storage.__init__ = _initialise_without_conditions
""",
    ),
    # The name of an execution is random instead of derived from the upload.
    "idempotency": _Alteration(
        "StartFromS3Function/functions/start_from_s3/executions.py",
        """
import uuid

_execution_for = execution_for


def execution_for(*arguments):
    return Execution(str(uuid.uuid4()), _execution_for(*arguments).request)
""",
    ),
}


def switch_off(names: Sequence[str], build: Path) -> None:
    """Remove safeguards from the built functions.

    Parameters
    ----------
    names : sequence of str
        Of SAFEGUARDS.
    build : Path
        Folder that ``sam build`` wrote.
    """
    for name in names:
        alteration = SAFEGUARDS[name]
        module = build / alteration.module
        module.write_text(module.read_text(encoding="utf-8") + alteration.lines, encoding="utf-8")
        # Python does not compare an artefact's bytecode with its sources, so the old bytecode must be deleted.
        for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"):
            compiled.unlink()
