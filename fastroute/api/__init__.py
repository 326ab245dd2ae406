"""The public objects: Snapshot, Engine, PrefixTable. Here text, Arrow and files meet the engine's arrays."""
