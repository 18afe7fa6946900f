// SPDX-License-Identifier: Apache-2.0
/*
 * Feeds every file of a corpus directory to a fuzz target, once. Linked instead of libFuzzer, so
 * that what the fuzzers found is checked again in every test run, with every compiler and
 * sanitizer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exits when the file cannot be read. */
static void replay(const char *path, size_t size)
{
    // Its own allocation of just that size: reads behind the end are seen.
    uint8_t *data = malloc(size > 0 ? size : 1);
    FILE *file = fopen(path, "rb");
    if (data == NULL || file == NULL || fread(data, 1, size, file) != size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static size_t replay_directory(const char *directory)
{
    size_t files = 0;
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        perror(directory);
        exit(2);
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[4096];
        struct stat status;
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        replay(path, (size_t)status.st_size);
        files++;
    }
    closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
        return 1;
    }
    size_t files = replay_directory(argv[1]);
    printf("%s: %zu inputs replayed\n", argv[1], files);
    return files > 0 ? 0 : 1;
}
