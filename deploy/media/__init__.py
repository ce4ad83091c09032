"""Pictures and sound as they travel.

Matroska as producers send it, read as it arrives; H.264, H.265 and AAC by their own headers; fragmented MP4 for
players; still pictures. Bytes in, bytes out: no file, no socket.
"""
