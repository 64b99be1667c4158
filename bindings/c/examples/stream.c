/*
 * Streams a model of one input and one output, such as the one that train.c saves: it reads 40
 * values of a sine, then continues the sine from its own outputs.
 *
 *     stream MODEL.safetensors
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unrolled.h>

static void check(int status) {
    if (status != UNROLLED_OK) {
        fprintf(stderr, "error %d: %s\n", status, unrolled_last_error());
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL.safetensors\n", argv[0]);
        return 2;
    }
    unrolled_model *model;
    check(unrolled_model_load(argv[1], &model));
    if (unrolled_model_input_size(model) != 1 || unrolled_model_output_size(model) != 1) {
        fprintf(stderr, "%s: expected a model of one input and one output\n", argv[1]);
        return 1;
    }
    unrolled_stream *stream;
    check(unrolled_stream_new(model, 1, &stream));
    unrolled_model_free(model); /* the stream keeps what it needs */

    float value = 0, worst = 0;
    for (int step = 0; step < 60; step++) {
        float x = step < 40 ? sinf(0.3f * (float)step) : value;
        check(unrolled_stream_step(stream, &x, &value)); /* fit for an audio thread */
        if (step >= 40) {
            float expected = sinf(0.3f * (float)(step + 1));
            worst = fmaxf(worst, fabsf(value - expected));
            printf("%2d: %6.3f, expected %6.3f\n", step + 1, value, expected);
        }
    }
    unrolled_stream_free(stream);
    return worst < 0.5f ? 0 : 1;
}
