/* Threads and forks. */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS = 20, BATCH = 16, IN = 3, HIDDEN = 96 };

/* Large enough that a window is divided among threads. */
static const char *LARGE = "inputs = 3\nthreads = 2\n[[stack]]\nhidden = 96\n";

/* The values that threads share. */
struct Shared {
    const unrolled_model *model;
    unrolled_stream *stream;
    const float *x, *y;
    atomic_int busy;
};

/* Runs windows of a model that another thread also uses. */
static void *run_windows(void *argument) {
    struct Shared *shared = argument;
    float *y = malloc(STEPS * BATCH * HIDDEN * sizeof *y);
    CHECK(y);
    for (int round = 0; round < 4; round++) {
        OK(unrolled_model_forward(shared->model, STEPS, BATCH, shared->x, NULL, NULL, NULL, y));
        CHECK(same(y, shared->y, STEPS * BATCH * HIDDEN));
    }
    CHECK(strcmp(unrolled_last_error(), "") == 0); /* the errors of other threads are theirs */
    free(y);
    return NULL;
}

/* Steps a stream that another thread also uses: each call succeeds or is refused. */
static void *run_steps(void *argument) {
    struct Shared *shared = argument;
    float x[BATCH * IN] = {0.5f, -0.5f}, y[BATCH * HIDDEN];
    for (long round = 0; round < 200000 && !shared->busy; round++) {
        int status = unrolled_stream_step(shared->stream, x, y);
        CHECK(status == UNROLLED_OK || status == UNROLLED_BUSY);
        if (status == UNROLLED_BUSY) {
            CHECK(strstr(unrolled_last_error(), "another thread") != NULL);
            shared->busy = 1;
        }
    }
    return NULL;
}

static void run_twice(void *(*run)(void *), struct Shared *shared) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, run, shared) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

void test_threads(void) {
    unrolled_model *model = saved(LARGE, "large.safetensors", 2);
    float *x = malloc(STEPS * BATCH * IN * sizeof *x), *y = malloc(STEPS * BATCH * HIDDEN * sizeof *y);
    CHECK(x && y);
    fill(x, STEPS * BATCH * IN, 1);
    OK(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, NULL, y));
    struct Shared shared = {.model = model, .x = x, .y = y};
    run_twice(run_windows, &shared);

    OK(unrolled_stream_new(model, BATCH, &shared.stream));
    run_twice(run_steps, &shared);
    CHECK(shared.busy);
    OK(unrolled_stream_step(shared.stream, x, y)); /* the stream still works */
    unrolled_stream_free(shared.stream);
    unrolled_model_free(model);
    free(x);
    free(y);
}

/* Everything that was made before the fork works, with the same bits. */
static void use_all(unrolled_model *model, unrolled_rnn *rnn, const float *x, const float *expected) {
    static float y[STEPS * BATCH * HIDDEN];
    unrolled_stream *stream = NULL;
    OK(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, NULL, y));
    CHECK(same(y, expected, STEPS * BATCH * HIDDEN));
    OK(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, y, NULL));
    CHECK(same(y, expected, STEPS * BATCH * HIDDEN));
    OK(unrolled_rnn_backward(rnn, expected, NULL, NULL, NULL));
    OK(unrolled_stream_new(model, BATCH, &stream));
    OK(unrolled_stream_step(stream, x, y));
    CHECK(same(y, expected, BATCH * HIDDEN));
    unrolled_stream_free(stream);
}

void test_fork(void) {
    unrolled_model *model = saved(LARGE, "fork.safetensors", 2);
    unrolled_rnn *rnn = new_rnn(LARGE);
    static float x[STEPS * BATCH * IN], y[STEPS * BATCH * HIDDEN];
    fill(x, STEPS * BATCH * IN, 1);
    OK(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, NULL, y));
    OK(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, y, NULL));
    /* The child answers through a pipe: a memory checker may change its exit code. */
    int answer[2];
    char byte = 0;
    CHECK(pipe(answer) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        use_all(model, rnn, x, y);
        _exit(write(answer[1], "!", 1) == 1 ? 0 : 1);
    }
    close(answer[1]);
    CHECK(read(answer[0], &byte, 1) == 1 && byte == '!');
    close(answer[0]);
    CHECK(waitpid(child, NULL, 0) == child);
    use_all(model, rnn, x, y);
    unrolled_model_free(model);
    unrolled_rnn_free(rnn);
}
