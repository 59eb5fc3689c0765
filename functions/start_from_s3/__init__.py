"""The Lambda that turns uploads into executions: S3 event → request → StartExecution. It never sees a pixel."""
