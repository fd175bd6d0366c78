"""Container images on their way into sandboxes: pulled, checked, unpacked once by digest, kept while they are used."""
