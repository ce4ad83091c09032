"""The calls and the players' paths of the read side, by name."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.kvsstore.service import Handler
from deploy.playback import archive, dash, hls, media

OPERATIONS: Mapping[str, Handler] = {
    "listFragments": archive.list_fragments,
    "getClip": archive.get_clip,
    "getImages": archive.get_images,
    "getMedia": media.get_media,
    "getMediaForFragmentList": media.get_media_for_fragment_list,
    "getHLSStreamingSessionURL": hls.get_hls_streaming_session_url,
    "getDASHStreamingSessionURL": dash.get_dash_streaming_session_url,
}
"""Calls: POST with a JSON body, signed. `request["region"]` is the region of the caller."""

ROUTES: Mapping[str, Handler] = {
    hls.MASTER: hls.get_master_playlist,
    "/hls/v1/getHLSMediaPlaylist.m3u8": hls.get_media_playlist,
    "/hls/v1/getMP4InitFragment.mp4": hls.get_init_fragment,
    "/hls/v1/getMP4MediaFragment.mp4": hls.get_media_fragment,
    dash.MANIFEST: dash.get_manifest,
    "/dash/v1/getMP4InitFragment.mp4": hls.get_init_fragment,
    "/dash/v1/getMP4MediaFragment.mp4": hls.get_media_fragment,
}
"""What players GET, unsigned: the token in the query is what opens it."""
