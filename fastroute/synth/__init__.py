"""Generator of accounts, flow logs and their truth. Imports nothing of the engine: it is the examiner."""
