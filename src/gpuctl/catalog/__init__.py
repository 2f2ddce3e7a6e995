"""Shapes and prices of GPU instances as data that bundled; read lazily, never from the network."""

from gpuctl.catalog.catalog import Catalog

__all__ = ["Catalog"]
