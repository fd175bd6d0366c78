"""API Gateway v2: HTTP APIs whose routes invoke Lambda functions with payload format 2.0.

Left out, and refused by name: WebSocket APIs, authorizers, domain names, VPC links, HTTP proxies and
service integrations, payload format 1.0, throttling and access logs of stages, imports.
"""
