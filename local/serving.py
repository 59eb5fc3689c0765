"""Stop the servers of the local stack on signals."""

import signal
import socketserver
import threading
from types import FrameType


def shut_down_on_signals(server: socketserver.BaseServer) -> None:
    """Make SIGTERM and SIGINT end the server's ``serve_forever``, which runs in the main thread."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        # In a thread, because shutdown() waits for serve_forever(), which this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
