"""Whether attributions can be trusted: randomization, deletion, agreement with evidence whose place is known."""
