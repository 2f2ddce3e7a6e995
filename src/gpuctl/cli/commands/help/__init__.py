"""`gpuctl help`: commands and topics."""
