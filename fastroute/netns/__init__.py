"""One Linux routing domain: links, addresses, rules, routes, sysctls; the rule walk, and its compiled form. Knows no EKS."""
