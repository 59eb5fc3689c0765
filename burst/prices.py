"""The price of a burst, without requests to S3, which cost the same on a calm day."""

from dataclasses import dataclass
from functools import cache

from burst.deployed import Deployed
from cost.prices import read_prices

# Express bills memory in steps of 64 MB and time in steps of 100 ms; our inputs fit the first step.
_EXPRESS_GB = 64 / 1024
_EXPRESS_STEP_SECONDS = 0.1
# Assumed size of a log entry: an error in the log of the state machine, or a message that returned to the queue.
_LOG_BYTES = 1000
_MB_OF_A_GB = 1024


@dataclass(slots=True)
class Bill:
    """What was used. Times are seconds."""

    transitions: int = 0
    express_runs: int = 0
    express_seconds: float = 0.0
    resizes: int = 0
    resize_seconds: float = 0.0
    starters: int = 0
    starter_seconds: float = 0.0
    queue_requests: int = 0
    logged_errors: int = 0

    def dollars(self, deployed: Deployed) -> float:
        """Return the price."""
        gigabyte_seconds = (
            self.resize_seconds * deployed.resize_memory + self.starter_seconds * deployed.starter_memory
        ) / _MB_OF_A_GB
        # On average, half a step is billed but not used.
        express_seconds = self.express_seconds + self.express_runs * _EXPRESS_STEP_SECONDS / 2
        return (
            self.transitions * _price("state_transition")
            + self.express_runs * _price("express_request")
            + express_seconds * _EXPRESS_GB * _price("express_gb_second")
            + (self.resizes + self.starters) * _price("lambda_request")
            + gigabyte_seconds * _price("lambda_gb_second_arm64")
            + self.queue_requests * _price("sqs_request")
            + self.logged_errors * _LOG_BYTES / 1e9 * _price("log_gb")
        )


@cache
def _price(name: str) -> float:
    return read_prices().prices[name].usd
