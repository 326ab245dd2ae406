"""The nouns: VPC, subnet, route table, ENI, instance, node, pod, container, service; ids, cross-references, findings."""
