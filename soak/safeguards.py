"""Switch a safeguard of the pipeline off, in the functions that were built for a soak, to see whether it is missed.

Nothing in production code can do this. Lines are added at the end of a module of the artefact, and put something
that does not protect in the place of what does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Alteration:
    """Lines that take a safeguard away, and the module of the artefact that they are added to."""

    module: str
    lines: str


SAFEGUARDS = {
    # Writes and deletes are done, whatever is there.
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
    # The name of an execution says nothing about what was uploaded.
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
    """Alter the built functions.

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
        # The bytecode of an artefact is trusted unchecked, so what was compiled before must go.
        for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"):
            compiled.unlink()
