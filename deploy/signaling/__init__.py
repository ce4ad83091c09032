"""How a camera and its viewers meet.

The signaling WebSocket, ICE servers, STUN and TURN; and keys by certificate, as IoT lends them.
"""
