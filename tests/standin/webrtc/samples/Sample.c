#include "Samples.h"
#include <stdio.h>

int main(int argc, char **argv) {
    int bad = sample_start(ROLE, argc > 1 ? argv[1] : "standin");
    printf("frames here: %d h264, %d h265, %d opus\n", sample_frames("h264"), sample_frames("h265"),
           sample_frames("opus"));
    return bad;
}
