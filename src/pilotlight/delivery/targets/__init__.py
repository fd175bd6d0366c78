"""One module for each kind: `lambda_invoke` for those who call a function, `lambda_async` for its own queue."""
