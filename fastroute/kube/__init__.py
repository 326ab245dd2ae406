"""What kube-proxy does: service address to endpoint."""
