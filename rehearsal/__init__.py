"""What stands in for Google Cloud on loopback, so that a launch can be rehearsed: a store, a jobs service, workers."""
