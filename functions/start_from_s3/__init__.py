"""The Lambda that turns events of S3 into executions: event → hint → request → execution. It never sees a pixel."""
