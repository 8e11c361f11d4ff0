"""The publisher's side of ZeroMQ's protocol: bounded memory and bounded work per peer, whatever a peer sends."""
