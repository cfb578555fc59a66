/* Classify raw clips on standard input, one after the other, in this machine's byte order: their
 * probabilities go to standard output as floats, the processor time (s) to standard error.
 */
#include <stdio.h>
#include <time.h>

#include "srnn.h"

static srnn_memory memory;
static int16_t clip[SRNN_CLIP];

int main(void)
{
    clock_t used = 0;
    while (fread(clip, sizeof *clip, SRNN_CLIP, stdin) == SRNN_CLIP) {
        float probabilities[SRNN_LABELS];
        const clock_t begun = clock();
        const int best = srnn_clip(&memory, clip, probabilities);
        used += clock() - begun;
        if (best < 0 || fwrite(probabilities, sizeof probabilities, 1, stdout) != 1)
            return 1;
    }
    fprintf(stderr, "%.6f\n", (double)used / CLOCKS_PER_SEC);
    return 0;
}
