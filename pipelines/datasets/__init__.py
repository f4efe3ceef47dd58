"""Data sets: any folder of videos and portraits -> face crops with rotations and landmarks, in a Zarr store with an index."""
