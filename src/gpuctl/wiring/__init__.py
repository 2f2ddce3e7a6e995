"""Composition: connects what services need with the implementations that one invocation uses.

The only package that knows the implementations. It needs no command line: everything it depends on is an argument.
"""
