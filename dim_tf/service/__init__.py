"""The HTTP service: requests and answers, batches, metrics, the page, and the worker processes."""
