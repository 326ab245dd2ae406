"""What AWS does between interfaces: subnet route tables, gateways, prefix lists, source/dest check."""
