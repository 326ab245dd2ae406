"""The running kernel as referee: random nodes in network namespaces, and RTM_GETROUTE's answers beside the walk's."""
