"""The one error that is meant for people.

Whatever a user can get wrong (a file, a name, a number, a machine that lacks something) is raised as `UserError` with
one sentence that says what is wrong and what to do next. The command line prints that sentence and exits with code 2;
nothing else in the project catches it. Any other exception is a defect of ours.
"""

from __future__ import annotations


class UserError(Exception):
    """A mistake or a missing part that the user can mend; `str(error)` is the sentence to show."""
