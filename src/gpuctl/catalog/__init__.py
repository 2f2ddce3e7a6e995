"""Shapes and prices of GPU machines as data that ships with gpuctl; read lazily, never from the network."""

from gpuctl.catalog.catalog import Catalog

__all__ = ["Catalog"]
