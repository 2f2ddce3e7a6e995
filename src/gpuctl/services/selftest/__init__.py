"""Runs one instance on a real account and compares each promise of gpuctl with what the cloud shows.

`planning` chooses the instance and limits its cost, `subject` is the instance under test, `checks` holds the checks in
the order they run, `runner` creates the instance, runs them and terminates it whatever happens.
"""
