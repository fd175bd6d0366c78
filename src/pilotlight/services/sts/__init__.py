"""STS: who a caller is, and temporary credentials. No rows: sessions are sealed tokens (`identity/credentials.py`).

Refused by name: web identity and SAML federation, and decoding of authorisation messages, which nothing here encodes.
"""
