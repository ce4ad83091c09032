/* Devices that are not there: preloaded, it answers for video nodes and sound cards as drivers do; `FAKE_DEVICES` says
 * which. Requests are compared with the numbers that strace shows on real boards, not with those that headers make: they
 * hold the sizes of the structures, which differ between 32 and 64 bits. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sound/asound.h>

#define QUERYCAP 0x80685600u
#define ENUM_FMT 0xc0405602u
#define ENUM_FRAMESIZES 0xc02c564au
#define ENUM_FRAMEINTERVALS 0xc034564bu
#define CARD_INFO 0x81785501u
#define PCM_NEXT_DEVICE 0x80045530u
#define PCM_INFO 0xc1205531u
#define HW_REFINE (sizeof(long) == 8 ? 0xc2604110u : 0xc25c4110u)

#define FILES 64
static char paths[FILES][48];

static int is(const char *scenario) {
    const char *given = getenv("FAKE_DEVICES");
    return given != NULL && strcmp(given, scenario) == 0;
}

static int there(const char *path) {
    static const char *const uvc[] = {"/dev/video0", "/dev/video1", "/dev/snd/controlC0", "/dev/snd/pcmC0D0c",
                                      "/dev/snd/controlC2", "/dev/snd/pcmC2D0c", "/dev/snd/pcmC2D0p", NULL};
    if (is("endless") || is("slow")) {
        return 1;
    }
    if (is("pi")) {
        return strcmp(path, "/dev/video0") == 0 || strcmp(path, "/dev/video11") == 0;
    }
    for (int at = 0; uvc[at] != NULL; at++) {
        if (strcmp(path, uvc[at]) == 0) {
            return 1;
        }
    }
    return 0;
}

static int fake_open(const char *path, int flags) {
    if ((flags & O_NONBLOCK) == 0) {
        abort(); /* a PCM that is in use would be waited for, without end */
    }
    if (!there(path)) {
        errno = ENOENT;
        return -1;
    }
    if (is("denied") || (is("busy") && strstr(path, "/dev/snd/controlC") == NULL)) {
        errno = is("denied") ? EACCES : EBUSY;
        return -1;
    }
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    int file = real("/dev/null", O_RDWR);
    if (file < 0 || file >= FILES) {
        abort();
    }
    strncpy(paths[file], path, sizeof paths[file] - 1);
    return file;
}

int open(const char *path, int flags, ...) {
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    if (strncmp(path, "/dev/video", 10) == 0 || strncmp(path, "/dev/snd/", 9) == 0) {
        return fake_open(path, flags);
    }
    return real(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int close(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "close");
    if (file >= 0 && file < FILES) {
        paths[file][0] = 0;
    }
    return real(file);
}

static int fails(int error) {
    errno = error;
    return -1;
}

static int node_of(const char *path) {
    return atoi(path + strlen("/dev/video"));
}

static int querycap(const char *path, struct v4l2_capability *node) {
    if (is("pi")) {
        int codec = node_of(path) == 11;
        strcpy((char *)node->driver, codec ? "bcm2835-codec" : "bm2835 mmal");
        strcpy((char *)node->card, codec ? "bcm2835-codec-encode" : "mmal service 16.1");
        strcpy((char *)node->bus_info, codec ? "platform:bcm2835-codec" : "platform:bcm2835-v4l2");
        node->capabilities = codec ? 0x84204000u : 0x85200005u;
        node->device_caps = codec ? 0x04204000u : 0x05200005u;
    } else if (is("endless")) {
        memset(node, 0xff, sizeof *node);
        memcpy(node->card, "\"\\\033[2J\r\n", 7);
    } else {
        strcpy((char *)node->driver, "uvcvideo");
        strcpy((char *)node->card, "w300: w300");
        strcpy((char *)node->bus_info, "usb-0000:00:0b.0-1");
        node->capabilities = 0x84a00001u;
        node->device_caps = node_of(path) == 1 ? 0x04a00000u : 0x04200001u;
    }
    return 0;
}

static int enum_fmt(const char *path, struct v4l2_fmtdesc *format) {
    static const struct {
        __u32 pixels;
        const char *name;
        __u32 flags;
    } pi[] = {{V4L2_PIX_FMT_YUV420, "Planar YUV 4:2:0", 0},
              {V4L2_PIX_FMT_H264, "H.264", V4L2_FMT_FLAG_COMPRESSED},
              {V4L2_PIX_FMT_MJPEG, "Motion-JPEG", V4L2_FMT_FLAG_COMPRESSED}},
      uvc[] = {{V4L2_PIX_FMT_MJPEG, "Motion-JPEG", V4L2_FMT_FLAG_COMPRESSED}, {V4L2_PIX_FMT_YUYV, "YUYV 4:2:2", 0}},
      codec[] = {{V4L2_PIX_FMT_H264, "H.264", V4L2_FMT_FLAG_COMPRESSED}}, *known = uvc;
    size_t count = 2;
    if (is("endless")) {
        format->pixelformat = 0xff222222u + format->index;
        memset(format->description, '"', sizeof format->description);
        return 0;
    }
    if (is("pi")) {
        int is_codec = node_of(path) == 11;
        known = is_codec ? codec : pi;
        count = is_codec ? 1 : 3;
        if (format->type != (is_codec ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE)) {
            return fails(EINVAL);
        }
    }
    if (format->index >= count) {
        return fails(EINVAL);
    }
    format->pixelformat = known[format->index].pixels;
    format->flags = known[format->index].flags;
    strcpy((char *)format->description, known[format->index].name);
    return 0;
}

static int enum_sizes(struct v4l2_frmsizeenum *size) {
    static const struct v4l2_frmsize_discrete motion[] = {{1920, 1080}, {1280, 720}}, raw[] = {{640, 480}, {864, 480}};
    if (is("endless")) {
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete = (struct v4l2_frmsize_discrete){~0u, ~0u};
        return 0;
    }
    if (is("pi")) {
        size->type = V4L2_FRMSIZE_TYPE_STEPWISE;
        size->stepwise = (struct v4l2_frmsize_stepwise){32, 2592, 2, 32, 1944, 2};
        return size->index == 0 ? 0 : fails(EINVAL);
    }
    size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
    if (size->index >= 2) {
        return fails(EINVAL);
    }
    size->discrete = size->pixel_format == V4L2_PIX_FMT_YUYV ? raw[size->index] : motion[size->index];
    return 0;
}

static int enum_rates(struct v4l2_frmivalenum *rate) {
    if (is("endless")) {
        rate->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        rate->discrete = (struct v4l2_fract){rate->index % 2 ? 0 : 1, ~0u};
        return 0;
    }
    if (is("pi")) {
        /* As bcm2835-camera.c: a size out of its bounds has no rates. */
        if (rate->index != 0 || rate->width < 32 || rate->width > 2592 || rate->height < 32 || rate->height > 1944) {
            return fails(EINVAL);
        }
        rate->type = V4L2_FRMIVAL_TYPE_CONTINUOUS;
        rate->stepwise = (struct v4l2_frmival_stepwise){{1, 90}, {1, 1}, {1, 1}};
        return 0;
    }
    rate->type = V4L2_FRMIVAL_TYPE_DISCRETE;
    if (rate->width == 864 && rate->index == 0) {
        rate->discrete = (struct v4l2_fract){1, 10};
    } else if ((rate->index == 0 && rate->width != 864) || (rate->width == 1280 && rate->index == 1)) {
        /* uvcvideo tells them in units of 100 ns. */
        rate->discrete = (struct v4l2_fract){rate->index ? 666666 : 333333, 10000000};
    } else {
        return fails(EINVAL);
    }
    return 0;
}

static int next_device(int *device) {
    if (is("endless")) {
        ++*device;
    } else {
        *device = *device < 0 ? 0 : -1;
    }
    return 0;
}

static int pcm_info(const char *path, struct snd_pcm_info *pcm) {
    if (is("endless")) {
        memset(pcm, 0xff, sizeof *pcm);
        return 0;
    }
    if (path[strlen(path) - 1] == '0' && pcm->stream == SNDRV_PCM_STREAM_PLAYBACK) {
        return fails(ENOENT);
    }
    pcm->subdevices_count = 1;
    pcm->subdevices_avail = is("busy") ? 0 : 1;
    strcpy((char *)pcm->id, path[strlen(path) - 1] == '0' ? "USB Audio" : "ES8316 HiFi");
    return 0;
}

static int card_info(const char *path, struct snd_ctl_card_info *info) {
    int usb = path[strlen(path) - 1] == '0';
    if (is("endless")) {
        memset(info, 0xff, sizeof *info);
        return 0;
    }
    strcpy((char *)info->id, usb ? "w300" : "rockchipes8316");
    strcpy((char *)info->name, usb ? "w300" : "rockchip,es8316");
    return 0;
}

/* Takes what is left of an interval, or says that nothing is. */
static int narrow(struct snd_pcm_hw_params *params, int which, unsigned least, unsigned most) {
    struct snd_interval *interval = &params->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
    interval->min = interval->min > least ? interval->min : least;
    interval->max = interval->max < most ? interval->max : most;
    return interval->min <= interval->max;
}

static int refine(const char *path, struct snd_pcm_hw_params *params) {
    const struct snd_interval *rate = &params->intervals[SNDRV_PCM_HW_PARAM_RATE - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
    int usb = strcmp(path, "/dev/snd/pcmC0D0c") == 0;
    if (is("endless")) {
        return 0;
    }
    if (!narrow(params, SNDRV_PCM_HW_PARAM_RATE, 8000, usb ? 48000 : 96000) ||
        !narrow(params, SNDRV_PCM_HW_PARAM_CHANNELS, usb ? 1 : 2, 2)) {
        return fails(EINVAL);
    }
    /* The camera's microphone has two rates and nothing between them: as a rule of snd-usb-audio. */
    if (usb && rate->min == rate->max && rate->min != 16000 && rate->min != 48000) {
        return fails(EINVAL);
    }
    memset(params->masks[1].bits, 0, sizeof params->masks[1].bits);
    params->masks[1].bits[0] = usb ? 1u << 2 : 1u << 2 | 1u << 6 | 1u << 10;
    return 0;
}

static int answer(const char *path, unsigned request, void *value) {
    if (is("slow")) {
        usleep(100000);
    }
    if (is("hang") && strcmp(path, "/dev/video1") == 0) {
        pause();
    }
    switch (request) {
    case QUERYCAP:
        return querycap(path, value);
    case ENUM_FMT:
        return enum_fmt(path, value);
    case ENUM_FRAMESIZES:
        return enum_sizes(value);
    case ENUM_FRAMEINTERVALS:
        return enum_rates(value);
    case CARD_INFO:
        return card_info(path, value);
    case PCM_NEXT_DEVICE:
        return next_device(value);
    case PCM_INFO:
        return pcm_info(path, value);
    default:
        return request == HW_REFINE ? refine(path, value) : fails(ENOTTY);
    }
}

int ioctl(int file, unsigned long request, ...) {
    int (*real)(int, unsigned long, void *) = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
    va_list rest;
    va_start(rest, request);
    void *value = va_arg(rest, void *);
    va_end(rest);
    if (file >= 0 && file < FILES && paths[file][0] != 0) {
        return answer(paths[file], (unsigned)request, value);
    }
    return real(file, request, value);
}

/* What ioctl is called where a 32-bit program has 64-bit times. */
int __ioctl_time64(int file, unsigned long request, ...) __attribute__((alias("ioctl")));
