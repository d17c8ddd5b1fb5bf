"""Networks of the suite `torchbench` that no library has, and the steps that run them: one model or family each."""
