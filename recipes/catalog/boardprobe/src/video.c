/* Video nodes through V4L2's own calls: a board without v4l2-ctl has them too.
 * https://docs.kernel.org/userspace-api/media/v4l/user-func.html */
#include "probes.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* The kernel's VIDEO_NUM_DEVICES. */
#define MOST_NODES 256
/* A driver may have a list without end; the kernel's own have fewer. */
#define MOST_FORMATS 64
#define MOST_SIZES 128
#define MOST_RATES 32

/* Newer than the oldest headers that this is compiled with. */
#define CAP_META_CAPTURE 0x00800000u
#define CAP_META_OUTPUT 0x08000000u
#define CAP_IO_MC 0x20000000u

static const struct {
    __u32 bit;
    const char *name; /* v4l2-ctl's */
} capabilities[] = {
    {V4L2_CAP_VIDEO_CAPTURE, "Video Capture"},
    {V4L2_CAP_VIDEO_CAPTURE_MPLANE, "Video Capture Multiplanar"},
    {V4L2_CAP_VIDEO_OUTPUT, "Video Output"},
    {V4L2_CAP_VIDEO_OUTPUT_MPLANE, "Video Output Multiplanar"},
    {V4L2_CAP_VIDEO_M2M, "Video Memory-to-Memory"},
    {V4L2_CAP_VIDEO_M2M_MPLANE, "Video Memory-to-Memory Multiplanar"},
    {V4L2_CAP_VIDEO_OVERLAY, "Video Overlay"},
    {V4L2_CAP_TUNER, "Tuner"},
    {V4L2_CAP_AUDIO, "Audio"},
    {CAP_META_CAPTURE, "Metadata Capture"},
    {CAP_META_OUTPUT, "Metadata Output"},
    {CAP_IO_MC, "I/O MC"},
    {V4L2_CAP_EXT_PIX_FORMAT, "Extended Pix Format"},
    {V4L2_CAP_READWRITE, "Read/Write"},
    {V4L2_CAP_STREAMING, "Streaming"},
};

static size_t begun; /* bytes before this node's object */
static bool cut;

static struct timespec start;

void devices_begin(void) {
    clock_gettime(CLOCK_MONOTONIC, &start);
}

bool devices_in_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long passed = (long long)(now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
    return passed < MOST_DEVICE_MILLISECONDS;
}

/* A signal must not end an enumeration. */
static int ask(int file, unsigned long request, void *value) {
    int answer;
    int left = 8;
    do {
        answer = ioctl(file, request, value);
    } while (answer == -1 && errno == EINTR && --left > 0);
    return answer;
}

/* Whether an enumeration may go on; past the bounds the node's object is cut. */
static bool room(unsigned count, unsigned most) {
    if (count >= most || report_size() - begun >= MOST_OBJECT_BYTES || !devices_in_time()) {
        cut = true;
    }
    return !cut;
}

static void report_rate(const struct v4l2_fract *interval) {
    if (interval->numerator != 0 && interval->denominator != 0) {
        report_item_decimal((double)interval->denominator / interval->numerator);
    }
}

static void report_rates(int file, __u32 pixels, __u32 width, __u32 height) {
    struct v4l2_frmivalenum first = {.pixel_format = pixels, .width = width, .height = height};
    if (ask(file, VIDIOC_ENUM_FRAMEINTERVALS, &first) == 0 && first.type != V4L2_FRMIVAL_TYPE_DISCRETE) {
        /* The one of a range, slowest and fastest; there is no second. */
        report_list("rate_range");
        report_rate(&first.stepwise.max);
        report_rate(&first.stepwise.min);
        report_list_end();
        return;
    }
    report_list("rates");
    for (unsigned at = 0;; at++) {
        struct v4l2_frmivalenum rate = {.index = at, .pixel_format = pixels, .width = width, .height = height};
        if (ask(file, VIDIOC_ENUM_FRAMEINTERVALS, &rate) != 0 || !room(at, MOST_RATES)) {
            break;
        }
        report_rate(&rate.discrete);
    }
    report_list_end();
}

static void report_sizes(int file, __u32 pixels) {
    report_list("sizes");
    for (unsigned at = 0;; at++) {
        struct v4l2_frmsizeenum size = {.index = at, .pixel_format = pixels};
        if (ask(file, VIDIOC_ENUM_FRAMESIZES, &size) != 0 || !room(at, MOST_SIZES)) {
            break;
        }
        bool single = size.type == V4L2_FRMSIZE_TYPE_DISCRETE;
        report_item_open();
        report_number("width", single ? size.discrete.width : size.stepwise.min_width);
        report_number("height", single ? size.discrete.height : size.stepwise.min_height);
        if (single) {
            report_rates(file, pixels, size.discrete.width, size.discrete.height);
        } else {
            report_number("to_width", size.stepwise.max_width);
            report_number("to_height", size.stepwise.max_height);
            report_rates(file, pixels, size.stepwise.max_width, size.stepwise.max_height);
        }
        report_close();
        if (!single) {
            break;
        }
    }
    report_list_end();
}

static void report_formats(int file, __u32 type) {
    for (unsigned at = 0;; at++) {
        struct v4l2_fmtdesc format = {.index = at, .type = type};
        char fourcc[8];
        if (ask(file, VIDIOC_ENUM_FMT, &format) != 0 || !room(at, MOST_FORMATS)) {
            return;
        }
        __u32 pixels = format.pixelformat;
        /* The highest bit says that the samples are big-endian; v4l2-ctl shows it in the same way. */
        snprintf(fourcc, sizeof fourcc, "%c%c%c%c%s", (char)(pixels & 0x7f), (char)(pixels >> 8 & 0x7f),
                 (char)(pixels >> 16 & 0x7f), (char)(pixels >> 24 & 0x7f), pixels >> 31 ? "-BE" : "");
        report_item_open();
        report_text("fourcc", fourcc);
        format.description[sizeof format.description - 1] = 0;
        report_text("description", (const char *)format.description);
        report_flag("compressed", (format.flags & V4L2_FMT_FLAG_COMPRESSED) != 0);
        report_sizes(file, pixels);
        report_close();
    }
}

static void report_node(int file, struct v4l2_capability *node) {
    __u32 able = node->capabilities & V4L2_CAP_DEVICE_CAPS ? node->device_caps : node->capabilities;
    node->driver[sizeof node->driver - 1] = node->card[sizeof node->card - 1] = 0;
    node->bus_info[sizeof node->bus_info - 1] = 0;
    report_text("name", (const char *)node->card);
    report_text("driver", (const char *)node->driver);
    report_text("bus", (const char *)node->bus_info);
    report_list("capabilities");
    for (size_t at = 0; at < sizeof capabilities / sizeof *capabilities; at++) {
        if (able & capabilities[at].bit) {
            report_item_text(capabilities[at].name);
        }
    }
    report_list_end();
    report_list("formats");
    if (able & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_M2M)) {
        report_formats(file, V4L2_BUF_TYPE_VIDEO_CAPTURE);
    } else if (able & (V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_VIDEO_M2M_MPLANE)) {
        report_formats(file, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
    }
    report_list_end();
}

void probe_video(void) {
    devices_begin();
    for (int number = 0; number < MOST_NODES; number++) {
        struct v4l2_capability node;
        char path[32];
        snprintf(path, sizeof path, "/dev/video%d", number);
        int file = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (file == -1 && (errno == ENOENT || errno == ENOTDIR)) {
            continue;
        }
        if (report_size() + MOST_OBJECT_BYTES > MOST_DEVICE_BYTES || !devices_in_time()) {
            close(file);
            return;
        }
        begun = report_size();
        cut = false;
        memset(&node, 0, sizeof node);
        report_begin();
        report_text("kind", "video");
        report_text("path", path);
        if (file == -1 || ask(file, VIDIOC_QUERYCAP, &node) != 0) {
            report_text("trouble", strerror(errno));
        } else {
            report_node(file, &node);
        }
        report_flag("cut", cut);
        report_line_end();
        if (file != -1) {
            close(file);
        }
    }
}
