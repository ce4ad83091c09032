/* The exit codes of boardstream; what is not named in sysexits.h has its nearest neighbour's number. */
#ifndef BOARDSTREAM_CODES_H
#define BOARDSTREAM_CODES_H

enum {
    CODE_DONE = 0,      /* stopped as asked, the last fragment closed; or --once and the source is at its end */
    CODE_USAGE = 64,    /* the command line cannot be read */
    CODE_UNCLOSED = 74, /* stopped as asked, but the sink did not confirm the last fragment in time */
    CODE_RESTART = 75,  /* start it again, with a pause that grows */
    CODE_GIVE_UP = 78   /* the same again would end the same way: somebody has to change something */
};

#endif
