"""MiniStack, the local AWS, corrected where this project relies on behaviour of AWS that MiniStack does not have.

``app`` is the ASGI application that runs in MiniStack's own environment. Each other module changes one behaviour of
MiniStack, and its docstring describes what AWS documents:

============== ====================================================================================================
``alarms``     CloudFormation creates alarms on metric math.
``executions`` StartExecution refuses invalid names, and is idempotent while the execution runs; Express is Express.
``machines``   A second state machine of the same name is refused, also if CloudFormation creates it.
``apis``       A REST API keeps its id when its body changes, and a stage serves its deployment.
``existing_buckets`` Events of S3 name the version, and reach only queues whose policy allows the rule.
``map_runs``   A distributed Map reads MaxConcurrencyPath, and its children end with their parent.
``retries``    Retries wait with jitter, and no longer than MaxDelaySeconds.
``throttles``  A function without free concurrency fails its task with the error name of AWS.
``signers``    Verifies signatures and identifies signers, as IAM does for API Gateway.
``machine_logs`` The history of an execution is written to the log group of its state machine.
``function_log`` The output of the functions is complete, and copied to a file.
``metrics``    EMF lines and metric filters make metrics; filter patterns for JSON work.
``saved_queries`` CloudFormation saves queries of Logs Insights, and StartQuery runs them (``insights``).
============== ====================================================================================================

MiniStack keeps its state only in memory, so ``make down`` deletes all of it.
"""
