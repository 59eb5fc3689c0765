"""The execution that is started for a hint: its input and its name. Pure functions."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from functions.start_from_s3.hints import Change, Hint
from functions.start_from_s3.requests import as_retry, request_for

# Step Functions logs only executions with these characters in their names, and names have at most 80 characters:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_DIGEST_CHARACTERS = 32
_FILE_NAME_CHARACTERS = 80 - max(map(len, Change)) - _DIGEST_CHARACTERS - 2


@dataclass(frozen=True, slots=True)
class Execution:
    """Name of an execution, and the request that is its input."""

    name: str
    request: dict[str, Any]

    @property
    def input(self) -> str:
        """Return the request as JSON; equal requests have the same JSON text."""
        return _to_json(self.request)

    def as_retry(self) -> "Execution":
        """Return the execution that repeats one that stopped halfway."""
        return Execution(self.name, as_retry(self.request))


def execution_for(hint: Hint, destination_bucket: str, wanted: dict[str, Any]) -> Execution:
    """Describe the one execution that belongs to a hint.

    ``upload-example-jpg-<32 hexadecimal digits>``: the name begins with the change of the object, so that no client of
    the API can use it (their names begin with ``api-``). The file name is for people. The digest is of the event and
    the request: a repeated event has the same name, which Step Functions starts only once.

    Parameters
    ----------
    hint : Hint
    destination_bucket : str
    wanted : dict
        The fields of the recipe, as in a request.
    """
    request = request_for(hint.bucket, destination_bucket, hint.key, wanted)
    identity = json.dumps([_to_json(request), hint.event])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    file_name = _UNSAFE.sub("-", hint.key.rpartition("/")[2])[:_FILE_NAME_CHARACTERS]
    return Execution("-".join(filter(None, (hint.change, file_name, digest))), request)


def _to_json(request: dict[str, Any]) -> str:
    return json.dumps(request, ensure_ascii=False, sort_keys=True)
