"""Finds cameras in the network: WS-Discovery, then their streams over ONVIF."""
