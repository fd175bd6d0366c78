"""`make bench`: what a release is measured with, beside Moto's server in the same run."""
