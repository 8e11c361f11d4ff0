"""Scene memory: pictures unlike any seen under the same light."""
