"""Ranges that mean the same in every VPC, as text."""

LOOPBACK = ("127.0.0.0/8", "::1/128")
LINK_LOCAL = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32")
NEVER_UNICAST = ("0.0.0.0/8", "224.0.0.0/3", "ff00::/8")
"""Nobody's, whatever is routed."""
PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Nobody's unless a VPC or a route claims them. Source: RFC 1918, RFC 6598, RFC 4193."""
GLOBAL6 = "2000::/3"
"""IPv6 addresses that the Internet knows; what is outside of it and not named above is nobody's. Source: RFC 4291 section 2.4, IANA."""
AGENTS = ("169.254.20.10", "169.254.170.23", "fd00:ec2::23")
"""NodeLocal DNSCache and the EKS Pod Identity agent, which sit on the node itself where they run."""
