"""gpuctl starts GPU instances in a cloud for one task, knows what each costs, and makes sure every one of them ends."""

__version__ = "0.1.0"
