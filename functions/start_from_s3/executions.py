"""The execution that a hint starts: its input and its name. Pure."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from functions.start_from_s3.hints import Change, Hint
from functions.start_from_s3.requests import as_retry, request_for

# CloudWatch logs only executions with these characters in their names, and names end at 80:
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
        """Return the request as JSON text: equal requests are equal texts."""
        return _to_json(self.request)

    def as_retry(self) -> "Execution":
        """Return the execution that makes up for one that ended in the middle."""
        return Execution(self.name, as_retry(self.request))


def execution_for(hint: Hint, destination_bucket: str, wanted: dict[str, Any]) -> Execution:
    """Describe the one execution that belongs to a hint.

    ``upload-example-jpg-<32 hexadecimal digits>``: the name begins with what happened to the object, so that no
    client of the API can take it (theirs begin with ``api-``). The file's name is for people, the digest is of the
    event and of what is asked for: the same event again has the same name, which Step Functions starts only once.

    Parameters
    ----------
    hint : Hint
    destination_bucket : str
    wanted : dict
        What the recipe asks for, as in a request.
    """
    request = request_for(hint.bucket, destination_bucket, hint.key, wanted)
    identity = json.dumps([_to_json(request), hint.event])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    file_name = _UNSAFE.sub("-", hint.key.rpartition("/")[2])[:_FILE_NAME_CHARACTERS]
    return Execution("-".join(filter(None, (hint.change, file_name, digest))), request)


def _to_json(request: dict[str, Any]) -> str:
    return json.dumps(request, ensure_ascii=False, sort_keys=True)
