"""`gpuctl run`: one command on a temporary instance."""
