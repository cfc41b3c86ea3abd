/* tests/fuzz/replay.c - runs a fuzz target over each file of the folders given: the seeds as a
 * test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = NULL;
    size_t size = 0;

    if (!file)
        return -1;
    while (!feof(file) && !ferror(file)) {
        uint8_t *grown = realloc(bytes, size + 65536);
        if (!grown)
            break;
        bytes = grown;
        size += fread(bytes + size, 1, 65536, file);
    }
    (void)fclose(file);                        /* read only: nothing to lose */
    (void)LLVMFuzzerTestOneInput(bytes, size); /* its result is always 0 by contract */
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    size_t count = 0;

    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        struct dirent *entry;
        if (!dir) {
            fprintf(stderr, "cannot open the seeds in '%s'\n", argv[i]);
            return 1;
        }
        while ((entry = readdir(dir))) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            (void)snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (replay_file(path) == 0)
                count++;
        }
        (void)closedir(dir); /* read only */
    }
    if (count == 0) {
        fprintf(stderr, "no seeds\n");
        return 1;
    }
    printf("replayed %zu seeds\n", count);
    return 0;
}
