"""How a camera and its viewers find each other: the signaling WebSocket, ICE servers, keys by certificate."""
