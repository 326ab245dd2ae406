"""fastroute: which way did every flow of an EKS cluster go, and why."""
