"""The input and the name of the execution that an upload starts. Pure."""

import hashlib
import json
import re
from dataclasses import dataclass

from functions.start_from_s3.uploads import Upload

# The API's executions begin with "api-" (template.yaml), so API clients cannot take the name of an upload.
_DOOR = "upload"
# CloudWatch logs only executions with these characters in their names, and names end at 80:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_DIGEST_CHARACTERS = 32
_FILE_NAME_CHARACTERS = 80 - len(_DOOR) - _DIGEST_CHARACTERS - 2

_BOX = re.compile(r"\s*([1-9][0-9]*)x([1-9][0-9]*)\s*")


@dataclass(frozen=True, slots=True)
class Execution:
    """Name and input (JSON text) for StartExecution."""

    name: str
    input: str


def parse_sizes(text: str) -> list[dict[str, int]]:
    """Read ``128x128,800x600`` into boxes for a request, each box once.

    Raises
    ------
    ValueError
        A part is not a box; the message quotes it.
    """
    sizes: list[dict[str, int]] = []
    for part in text.split(","):
        box = _BOX.fullmatch(part)
        if box is None:
            raise ValueError(f"THUMBNAIL_SIZES has '{part}', which is not a box such as 128x128.")
        size = {"width": int(box[1]), "height": int(box[2])}
        if size not in sizes:
            sizes.append(size)
    return sizes


def execution_for(upload: Upload, destination_bucket: str, sizes: list[dict[str, int]]) -> Execution:
    """Return the one execution that belongs to an upload.

    Its name is ``upload-example-jpg-<32 hexadecimal digits>``. The file's name is for people. The digest identifies
    the upload and the request, so a repeated delivery of an event has the same name, which Step Functions starts once.
    """
    request = {
        "source_bucket": upload.bucket,
        "destination_bucket": destination_bucket,
        "object_key": upload.key,
        "sizes": sizes,
    }
    text = json.dumps(request, ensure_ascii=False, sort_keys=True)
    identity = json.dumps([text, upload.revision])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    file_name = _UNSAFE.sub("-", upload.key.rpartition("/")[2])[:_FILE_NAME_CHARACTERS]
    return Execution("-".join(filter(None, (_DOOR, file_name, digest))), text)
