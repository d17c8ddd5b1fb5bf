"""What is measured: one module or folder per suite, each importable without torch."""
