"""What calls cost: prices, what an attempt may cost and did, and how much a run may spend. Sends and asks nothing."""
