"""`torchwarden bench`: run, judge and report, for people."""

from __future__ import annotations

from bot.cli.options import Builds, Concluding, Judging, Method, Reference, Selection, flattened


@flattened
def bench(
    selection: Selection,
    builds: Builds,
    method: Method,
    judging: Judging,
    concluding: Concluding,
    reference: Reference = None,
) -> int:
    """Measure, judge and report in one go.

    Tests with a signal, and undecided ones that may have one, are measured again with fresh launches and more time:
    what that does not bear out is no signal. Prints the terminal report and the comment as it would be on a pull
    request, and writes both and a page with plots. Without --base one build is measured, which is judged against
    --reference where given; several --modes are compared with each other. Ends with 0, 1 or 3 as `torchwarden judge`
    does.
    """
    from bot.cli import benching, measuring

    policy = benching.check(method, judging, concluding, reference)
    session = measuring.prepare(selection, builds, method, command=measuring.command_line())
    return benching.run(session, policy, judging, concluding, reference)
