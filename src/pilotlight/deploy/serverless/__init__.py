"""`serverless.yml` as the Serverless Framework 3 reads it, and the CloudFormation template it makes of it.

Left out, and refused by name: plugins, events other than `s3`, `httpApi` and `schedule`, and the settings
that `service.py` does not list.
"""
