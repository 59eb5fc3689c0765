"""Start a function once in this process: ``first_answer.py <artefact> <handler> <monotonic time of start>``.

Prints the times from the start of the process to the first answer as JSON. Before the function it imports only what
Lambda's runtime would import too.
"""

import importlib
import json
import resource
import sys
import time


class Context:
    """The context object that Lambda passes to a function."""

    function_name = "resizer"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:resizer"
    aws_request_id = "6f2c1d8e-0b7a-4c53-9d21-5a1f3b9e7c44"


EVENT = {
    "execution": "upload-example-jpg",
    "request": {
        "source_bucket": "originals",
        "destination_bucket": "thumbnails",
        "object_key": "example.jpg",
        "width": 64,
        "height": 64,
    },
}

sys.path.insert(0, sys.argv[1])
module, _, name = sys.argv[2].rpartition(".")
handler = getattr(importlib.import_module(module), name)
imported = time.process_time()
answer = handler(EVENT, Context())
times = {
    "cpu_seconds": time.process_time(),
    "import_cpu_seconds": imported,
    "seconds": time.monotonic() - float(sys.argv[3]),
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
}
if answer["status"] != "SUCCESS":
    sys.exit(f"The function answered {answer}.")
print("\n" + json.dumps(times))
