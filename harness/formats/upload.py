"""What an upload adds to a run: where it was made, as the workflow that made it knows and the run does not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Upload:
    """The repository, commit and workflow that a run belongs to; "" and 0 are what is not known."""

    repo: str = ""
    head_branch: str = ""
    head_sha: str = ""
    workflow_id: int = 0
    run_attempt: int = 0
    job_id: int = 0
    job_name: str = ""
    timestamp: int = 0
    """Seconds since 1970; 0 takes the time at which the run started."""
    runner: str = ""
    """The runner's label, such as `linux.aws.a100`."""
