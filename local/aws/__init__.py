"""MiniStack, the local AWS, with the promises of AWS that this project rests on and MiniStack does not keep.

``app`` is the ASGI application that runs in MiniStack's own environment; each other module changes one thing in
MiniStack and says in its first lines what AWS documents:

============== ====================================================================================================
``alarms``     CloudFormation makes alarms on metric math.
``executions`` StartExecution refuses illegal names, and is idempotent while the execution runs; Express is Express.
``machines``   A second state machine of the same name is refused, also when CloudFormation asks for it.
``apis``       A REST API keeps its id when its body changes, and a stage serves what was deployed to it.
``existing_buckets`` Events of S3 name the version, and reach only queues whose policy lets the rule send.
``map_runs``   A distributed Map reads MaxConcurrencyPath, and its children end with their parent.
``retries``    Retries wait with jitter, and no longer than MaxDelaySeconds.
``throttles``  A function that finds no concurrency fails its task by the right name.
``signers``    Whether a signature is right, and whose it is: what API Gateway asks IAM.
``machine_logs`` The history of an execution is written to the log group of its state machine.
``function_log`` What the functions print is copied to a file.
``metrics``    EMF lines and metric filters make metrics; filter patterns for JSON match what they say.
``saved_queries`` CloudFormation saves queries of Logs Insights, and StartQuery runs them (``insights``).
============== ====================================================================================================

What MiniStack keeps is in its memory only, so ``make down`` forgets all of it.
"""
