#include <com/amazonaws/kinesis/video/utils/Include.h>
#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <pthread.h>
#include <stdlib.h>

struct job {
    pthread_t thread;
    int number, started;
    void (*run)(int number);
};

static void *work(void *argument) {
    struct job *job = argument;
    globalThreadSleep(1);
    job->run(job->number);
    return NULL;
}

int kvsPoolRun(int count, void (*run)(int number)) {
    struct job *jobs = calloc((size_t)count, sizeof *jobs);
    int done = 0;
    for (int i = 0; jobs != NULL && i < count; i++) {
        jobs[i].number = i;
        jobs[i].run = run;
        jobs[i].started = pthread_create(&jobs[i].thread, NULL, work, &jobs[i]) == 0;
    }
    for (int i = 0; jobs != NULL && i < count; i++) {
        done += jobs[i].started && pthread_join(jobs[i].thread, NULL) == 0;
    }
    free(jobs);
    return done;
}
