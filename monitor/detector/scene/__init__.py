"""Scene memory: finds pictures that differ from all pictures learned in the same light."""
