"""What AWS does between interfaces: subnet route tables, gateways, prefix lists, source/dest check."""

from fastroute.vpc.gateways import Next, Step, attached_vpcs, step
from fastroute.vpc.routes import Address, EffectiveRoute, Network, best_route, effective_routes, has_unlisted_routes

__all__ = [
    "Address",
    "EffectiveRoute",
    "Network",
    "Next",
    "Step",
    "attached_vpcs",
    "best_route",
    "effective_routes",
    "has_unlisted_routes",
    "step",
]
