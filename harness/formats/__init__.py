"""What other tools write and read, to runs and back."""
