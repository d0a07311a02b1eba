"""What every game shares: the protocol, outcomes, results, checks, errors, random streams, compiled code."""
