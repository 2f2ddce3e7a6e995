"""Create instances: choose an offer, write the record, send the create, fail over."""
