/* Sound devices through the calls that alsa-lib makes: a board without arecord and aplay has them too, and neither of the
 * two lists the rates. The structures are those of the kernel's include/uapi/sound/asound.h. */
#include "probes.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
/* Behind time.h: its structures have a timespec. */
#include <sound/asound.h>

/* The kernel's SNDRV_CARDS. */
#define MOST_CARDS 32
#define MOST_DEVICES 32
#define MOST_SOUND_BYTES 20000
#define MOST_CHANNELS 8

static const unsigned rates[] = {8000,  11025, 12000, 16000, 22050, 24000,  32000,
                                 44100, 48000, 64000, 88200, 96000, 176400, 192000};

static const struct {
    int number;
    const char *name; /* alsa-lib's */
} formats[] = {
    {SNDRV_PCM_FORMAT_S8, "S8"},           {SNDRV_PCM_FORMAT_U8, "U8"},         {SNDRV_PCM_FORMAT_S16_LE, "S16_LE"},
    {SNDRV_PCM_FORMAT_S16_BE, "S16_BE"},   {SNDRV_PCM_FORMAT_S24_LE, "S24_LE"}, {SNDRV_PCM_FORMAT_S24_3LE, "S24_3LE"},
    {SNDRV_PCM_FORMAT_S32_LE, "S32_LE"},   {SNDRV_PCM_FORMAT_S32_BE, "S32_BE"}, {SNDRV_PCM_FORMAT_FLOAT_LE, "FLOAT_LE"},
    {SNDRV_PCM_FORMAT_MU_LAW, "MU_LAW"},   {SNDRV_PCM_FORMAT_A_LAW, "A_LAW"},
};

static struct snd_interval *interval(struct snd_pcm_hw_params *params, int which) {
    return &params->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
}

/* Everything that there could be; the driver takes off what it cannot. */
static void any(struct snd_pcm_hw_params *params) {
    memset(params, 0, sizeof *params);
    memset(params->masks, 0xff, sizeof params->masks);
    for (int which = SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; which <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL; which++) {
        interval(params, which)->max = ~0u;
    }
    params->rmask = ~0u;
    params->info = ~0u;
}

/* Whether the device takes just this rate, or number of channels. */
static bool takes(int file, int which, unsigned value) {
    struct snd_pcm_hw_params params;
    any(&params);
    interval(&params, which)->min = interval(&params, which)->max = value;
    interval(&params, which)->integer = 1;
    return devices_in_time() && ioctl(file, SNDRV_PCM_IOCTL_HW_REFINE, &params) == 0;
}

static bool has_format(const struct snd_pcm_hw_params *params, int number) {
    const struct snd_mask *mask = &params->masks[SNDRV_PCM_HW_PARAM_FORMAT - SNDRV_PCM_HW_PARAM_FIRST_MASK];
    return mask->bits[number / 32] >> (number % 32) & 1;
}

static void report_abilities(int file) {
    struct snd_pcm_hw_params params;
    any(&params);
    if (ioctl(file, SNDRV_PCM_IOCTL_HW_REFINE, &params) != 0) {
        report_text("trouble", strerror(errno));
        return;
    }
    report_list("formats");
    for (size_t at = 0; at < sizeof formats / sizeof *formats; at++) {
        if (has_format(&params, formats[at].number)) {
            report_item_text(formats[at].name);
        }
    }
    report_list_end();
    const struct snd_interval *rate = interval(&params, SNDRV_PCM_HW_PARAM_RATE);
    report_list("rates");
    for (size_t at = 0; at < sizeof rates / sizeof *rates; at++) {
        if (rate->min <= rates[at] && rates[at] <= rate->max && takes(file, SNDRV_PCM_HW_PARAM_RATE, rates[at])) {
            report_item_number(rates[at]);
        }
    }
    report_list_end();
    report_list("channels");
    for (unsigned count = 1; count <= MOST_CHANNELS; count++) {
        if (takes(file, SNDRV_PCM_HW_PARAM_CHANNELS, count)) {
            report_item_number(count);
        }
    }
    report_list_end();
}

static void report_device(int card, const struct snd_ctl_card_info *info, struct snd_pcm_info *pcm, bool capture) {
    char path[48], id[sizeof info->id + 1], card_name[sizeof info->name + 1];
    snprintf(id, sizeof id, "%.*s", (int)sizeof info->id, (const char *)info->id);
    snprintf(card_name, sizeof card_name, "%.*s", (int)sizeof info->name, (const char *)info->name);
    pcm->id[sizeof pcm->id - 1] = 0;
    report_begin();
    report_text("kind", "sound");
    report_number("card", card);
    report_number("device", pcm->device);
    report_flag("capture", capture);
    report_text("card_id", id);
    report_text("card_name", card_name);
    report_text("name", (const char *)pcm->id);
    report_number("free", pcm->subdevices_avail);
    report_number("total", pcm->subdevices_count);
    snprintf(path, sizeof path, "/dev/snd/pcmC%dD%u%c", card, pcm->device, capture ? 'c' : 'p');
    /* Without waiting for whoever has it now. */
    int file = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (file == -1) {
        report_text("trouble", strerror(errno));
    } else {
        report_abilities(file);
        close(file);
    }
    report_flag("cut", !devices_in_time());
    report_line_end();
}

static void probe_card(int card, int control, const struct snd_ctl_card_info *info) {
    int device = -1;
    for (int count = 0; count < MOST_DEVICES && devices_in_time(); count++) {
        int before = device;
        if (ioctl(control, SNDRV_CTL_IOCTL_PCM_NEXT_DEVICE, &device) != 0 || device <= before) {
            return;
        }
        for (int capture = 0; capture <= 1; capture++) {
            struct snd_pcm_info pcm;
            memset(&pcm, 0, sizeof pcm);
            pcm.device = (unsigned)device;
            pcm.stream = capture ? SNDRV_PCM_STREAM_CAPTURE : SNDRV_PCM_STREAM_PLAYBACK;
            if (ioctl(control, SNDRV_CTL_IOCTL_PCM_INFO, &pcm) != 0) {
                continue;
            }
            if (report_size() >= MOST_SOUND_BYTES) {
                return;
            }
            pcm.device = (unsigned)device;
            report_device(card, info, &pcm, capture != 0);
        }
    }
}

void probe_sound(void) {
    devices_begin();
    for (int card = 0; card < MOST_CARDS && devices_in_time(); card++) {
        struct snd_ctl_card_info info;
        char path[32];
        snprintf(path, sizeof path, "/dev/snd/controlC%d", card);
        int control = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (control == -1) {
            continue;
        }
        memset(&info, 0, sizeof info);
        if (ioctl(control, SNDRV_CTL_IOCTL_CARD_INFO, &info) == 0) {
            probe_card(card, control, &info);
        }
        close(control);
    }
}
