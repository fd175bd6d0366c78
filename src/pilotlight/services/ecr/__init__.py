"""Amazon ECR: repositories of container images, with the registry that `docker push` and `crane` talk to.

Two doors lead to the same rows: the API (`repositories`, `images`, `layers`) and the OCI distribution protocol
(`data_plane`), whose password `GetAuthorizationToken` hands out. Real: repositories and their policies, images, tags
and their mutability, layers and uploads, lifecycle policies, resource tags. Refused by name: scanning, replication,
pull-through caches, creation templates, registry policies, signing, the archive storage class, KMS keys. Layers that no
image needs are removed a day after they were last used.
"""
