"""One file per language: how its functions are started, and what they find around them."""
