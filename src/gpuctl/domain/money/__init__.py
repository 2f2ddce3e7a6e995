"""Prices, costs, budgets and sums of them."""
