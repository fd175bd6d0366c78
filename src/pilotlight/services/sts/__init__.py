"""STS: who a caller is, and temporary credentials. It has no rows: sessions are sealed tokens (`identity/credentials.py`).

Refused by name: web identity and SAML federation, and decoding of authorisation messages, which nothing here encodes.
"""
