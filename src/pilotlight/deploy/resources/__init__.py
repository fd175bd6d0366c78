"""One file per AWS service: the resource types that a stack may hold."""
