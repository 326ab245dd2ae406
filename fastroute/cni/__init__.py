"""What the VPC CNI plugin programs on a node: settings, table numbers, rules, routes, marks and SNAT."""
