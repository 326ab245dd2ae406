"""Flow records as array batches: attribution, openers, account."""
