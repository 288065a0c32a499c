"""Commands of their own file: each has `HELP`, `add_arguments(parser)` and `run(options)`."""
