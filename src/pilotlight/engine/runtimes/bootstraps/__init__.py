"""What runs inside the sandbox, by language; never imported by the platform."""
