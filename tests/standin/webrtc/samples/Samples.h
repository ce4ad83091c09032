#pragma once

/* Check the SDK and tell what was found; 0 is good. */
int sample_start(const char *role, const char *channel);

/* How many frames of a codec lie in the working folder. */
int sample_frames(const char *codec);
