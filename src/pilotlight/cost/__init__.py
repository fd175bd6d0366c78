"""What use would cost on AWS: prices as data, a meter, a report."""
