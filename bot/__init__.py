"""Judges and speaks: from the records of a run to verdicts, and from verdicts to words. Never imports torch."""
