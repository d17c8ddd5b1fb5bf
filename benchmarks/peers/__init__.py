"""Other tools' rules for steps, to compare with; none of them is a dependency of the product.

Each is a function from the values of a series (seconds, not logarithms, oldest first, all that is known that night) to
the indices of first nights at a new level.
"""
