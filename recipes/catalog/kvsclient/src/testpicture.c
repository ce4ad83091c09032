#include "testpicture.h"

#include <gst/gst.h>

#include "report.h"

static gboolean has(const char *name) {
    GstElementFactory *factory = gst_element_factory_find(name);

    if (factory == NULL) {
        return FALSE;
    }
    gst_object_unref(factory);
    return TRUE;
}

/* Without B-frames, which KVS refuses, and without scene cuts: key frames, and so fragments, at even distances. */
static char *video_encoder(const struct options *options) {
    guint frames = options->fps * options->gop;

    if (has("x264enc")) {
        return g_strdup_printf("x264enc tune=zerolatency speed-preset=ultrafast bframes=0 key-int-max=%u bitrate=%u "
                               "option-string=scenecut=0 ! video/x-h264,profile=constrained-baseline",
                               frames, options->bitrate);
    }
    if (has("openh264enc")) {
        return g_strdup_printf("openh264enc gop-size=%u bitrate=%u complexity=low scene-change-detection=false", frames,
                               options->bitrate * 1000);
    }
    return NULL;
}

static const char *audio_encoder(void) {
    return has("voaacenc") ? "voaacenc bitrate=32000" : has("avenc_aac") ? "avenc_aac bitrate=32000" : NULL;
}

char *testpicture_describe(const struct options *options) {
    /* A picture that moves even where the clock cannot be drawn. */
    const char *clock = has("clockoverlay")
                            ? "clockoverlay time-format=\"%Y-%m-%d %H:%M:%S\" shaded-background=true ! timeoverlay "
                              "valignment=bottom shaded-background=true ! "
                            : "";
    char *encoder = video_encoder(options), *video, *audio = NULL, *whole;

    if (encoder == NULL) {
        report("give-up", "GStreamer here has neither x264enc nor openh264enc");
        return NULL;
    }
    if (!options->no_audio && audio_encoder() == NULL) {
        report("give-up", "GStreamer here has neither voaacenc nor avenc_aac: --no-audio does without");
        g_free(encoder);
        return NULL;
    }
    video = g_strdup_printf("videotestsrc is-live=true pattern=smpte ! "
                            "video/x-raw,format=I420,width=%u,height=%u,framerate=%u/1 ! %s"
                            "videoconvert ! video/x-raw,format=I420 ! %s ! h264parse ! "
                            "video/x-h264,stream-format=avc,alignment=au ! appsink name=video",
                            options->width, options->height, options->fps, clock, encoder);
    if (!options->no_audio) {
        audio = g_strdup_printf("audiotestsrc is-live=true wave=sine freq=440 volume=0.2 ! "
                                "audio/x-raw,rate=24000,channels=1 ! audioconvert ! %s ! aacparse ! "
                                "audio/mpeg,mpegversion=4,stream-format=raw ! appsink name=audio",
                                audio_encoder());
    }
    whole = g_strjoin(" ", video, audio, NULL);
    g_free(audio);
    g_free(video);
    g_free(encoder);
    return whole;
}
