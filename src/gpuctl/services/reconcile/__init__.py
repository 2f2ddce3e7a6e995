"""One pass over records and instances: observe, plan, apply."""
