#include "fault.h"

#include <string.h>

static const struct {
    const char *name;
    enum fault_kind kind;
    guint64 value;
} kinds[] = {
    {"stall", FAULT_STALL, 0},         {"hang", FAULT_HANG, 0},           {"mute", FAULT_MUTE, 0},
    {"slow", FAULT_SLOW, 200},         {"warn", FAULT_WARN, 0x5200002e},  {"leak", FAULT_LEAK, 1024},
    {"crash", FAULT_CRASH, 0},         {"error", FAULT_ERROR, 0x5200007c}, {"tell", FAULT_TELL, 0x5200005c},
};

gboolean fault_read(const char *text, struct fault *fault) {
    gsize length;
    char *end;

    *fault = (struct fault){.kind = FAULT_NONE};
    if (text == NULL || text[0] == '\0') {
        return TRUE;
    }
    length = strcspn(text, "=@");
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strlen(kinds[i].name) == length && strncmp(kinds[i].name, text, length) == 0) {
            fault->kind = kinds[i].kind;
            fault->value = kinds[i].value;
        }
    }
    text += length;
    if (fault->kind == FAULT_NONE) {
        return FALSE;
    }
    if (*text == '=') {
        fault->value = g_ascii_strtoull(text + 1, &end, 0);
        text = end;
    }
    if (*text != '@' || !g_ascii_isdigit(text[1])) {
        return FALSE;
    }
    fault->frame = g_ascii_strtoull(text + 1, &end, 10);
    return *end == '\0';
}
