"""One module per command; each is thin: options in, the work of another module, words out."""
