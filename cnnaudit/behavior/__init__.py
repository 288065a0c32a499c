"""How a classifier answers: under changes that should not matter, to one pixel, again, in batches, group by group."""
