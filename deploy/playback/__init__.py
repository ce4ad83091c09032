"""The read side of the local service.

What was kept is listed, sent again, cut into clips and pictures, and played by HLS and DASH.
"""
